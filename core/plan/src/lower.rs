//! The last of three passes: from the checked graph to the plan, with order, values, lifetimes and memory.

pub(crate) mod evaluation;
mod lifetimes;
mod order;
pub(crate) mod run;
mod sources;
pub(crate) mod training;
