//! One binary for all integration tests: arrow and parquet are linked once.
#![allow(clippy::unwrap_used)]

mod committing;
mod damage;
mod fencing;
mod generating;
mod importing;
mod inspecting;
mod jobs;
mod pairing;
mod pyarrow;
mod ranges;
mod reading;
mod real_data;
mod recovering;
mod support;
mod trusting;
