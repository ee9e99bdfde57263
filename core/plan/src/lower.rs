//! The last of three passes: from the checked graph to the plan, with order, values, lifetimes and memory.

mod after;
pub(crate) mod evaluation;
pub(crate) mod lifetimes;
mod order;
pub(crate) mod run;
mod sources;
pub(crate) mod training;

pub use after::after;
