//! The rules, one file each. Each takes the resolved graph, says what breaks it, and changes nothing.

pub(crate) mod classes;
pub(crate) mod cycle;
pub(crate) mod guidance;
pub(crate) mod inputs;
pub(crate) mod late;
pub(crate) mod similarity;
pub(crate) mod stages;
mod subsets;
pub(crate) mod tables;
pub(crate) mod tasks;
pub(crate) mod types;
pub(crate) mod unused;
