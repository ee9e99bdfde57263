//! From the checked graph to the plan: order, values, lifetimes, memory.

pub(crate) mod evaluation;
mod lifetimes;
mod order;
pub(crate) mod run;
pub(crate) mod scorers;
pub(crate) mod training;
pub(crate) mod variants;
