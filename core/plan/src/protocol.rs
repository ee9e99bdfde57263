//! The protocol between the two programs: an [order](order::Order) to the engine, [events](event::Event) back, both as
//! [frames](frame), the [findings](findings::Findings) of an evaluation, the [survey](survey::Survey) of a dataset, and the
//! [calls](service::ServiceCall) of clients of a long-lived engine.

/// Version of the protocol. Every [frame] has it, and both programs refuse another. It is that of the plans in the
/// orders; a change of the form of orders, events or findings raises it as well.
pub const VERSION: u32 = crate::plan::PLAN_FORMAT;

pub mod event;
pub mod findings;
pub mod frame;
pub mod order;
pub mod service;
pub mod survey;
