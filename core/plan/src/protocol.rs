//! The protocol between the two programs: an [order](order::Order) to the engine, [events](event::Event) back, both as
//! [frames](frame), and the [findings](findings::Findings) of an evaluation.

pub mod event;
pub mod findings;
pub mod frame;
pub mod order;
