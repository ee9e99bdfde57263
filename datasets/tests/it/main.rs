//! One binary for all integration tests: arrow and parquet are linked once.
#![allow(clippy::unwrap_used)]

mod archives;
mod arrow_files;
mod committing;
mod damage;
mod faults;
mod fencing;
mod filtering;
mod folders;
mod generating;
mod hostile;
mod idx;
mod importing;
mod inspecting;
mod jobs;
mod joining;
mod labels;
mod leftovers;
mod linking;
mod outputs;
mod pairing;
mod parts;
mod pyarrow;
mod ranges;
mod raw_parquet;
mod reading;
mod real_data;
mod recovering;
mod sections;
mod splits;
mod support;
mod trusting;
