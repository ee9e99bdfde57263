//! The engine from outside: goldens, closed forms, batching, learning.

#![allow(clippy::unwrap_used, reason = "a test may fail by a panic")]

mod beside;
mod closed_form;
mod companions;
mod coupled;
mod doubles;
mod dual_stream;
mod fairness;
mod given;
mod goldens;
mod guidance;
mod kinds;
mod learning;
mod networks;
mod objective;
mod pair;
mod prompts;
mod service;
mod temporal;
mod training;
mod unet;
