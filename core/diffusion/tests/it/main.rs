//! The engine from outside: goldens, closed forms, batching, learning.

#![allow(clippy::unwrap_used, reason = "a test may fail by a panic")]

mod auxiliary_streams;
mod closed_form;
mod correlated_pair;
mod coupled;
mod cross_attention;
mod dual_stream;
mod fairness;
mod fakes;
mod followed;
mod goldens;
mod guidance;
mod incomplete;
mod learning;
mod networks;
mod objective;
mod observed;
mod prompts;
mod schedulers;
mod service;
mod temporal;
mod training;
mod unet;
