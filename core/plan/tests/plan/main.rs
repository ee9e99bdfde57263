//! Tests of the planner: every file of `tests/files` is compiled and its printed plan is a snapshot; every kind of
//! error is provoked once and its text is a snapshot. `INSTA_UPDATE=always cargo test -p anyflow-plan` rewrites them.

#![allow(clippy::unwrap_used, reason = "clippy sees helpers of tests as no tests")]

mod bench;
mod catalogue;
mod companions;
mod data_errors;
mod errors;
mod evaluations;
mod explained;
mod files;
mod includes;
mod model_errors;
mod overrides;
mod planes;
mod plans;
mod pooled;
mod prompts;
mod properties;
mod published;
mod reading;
mod reference;
mod schema;
mod scorers;
mod steering;
mod subgraphs;
mod syntax;
