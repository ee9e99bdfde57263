//! The rules, one file each. A rule takes the resolved graph and reports violations.

pub(crate) mod classes;
pub(crate) mod cycle;
pub(crate) mod guidance;
pub(crate) mod inputs;
pub(crate) mod late;
pub(crate) mod similarity;
pub(crate) mod stages;
pub(crate) mod subsets;
pub(crate) mod tables;
pub(crate) mod tasks;
pub(crate) mod types;
pub(crate) mod unused;
