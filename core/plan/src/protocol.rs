//! The protocol between the two programs: an [order](order::Order) to the engine, [events](event::Event) back, both as
//! [frames](frame), the [findings](findings::Findings) of an evaluation, and the [survey](survey::Survey) of a dataset.

pub mod event;
pub mod findings;
pub mod frame;
pub mod order;
pub mod survey;
