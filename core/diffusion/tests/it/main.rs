//! The engine from outside: goldens, closed forms, batching, learning.

#![allow(clippy::unwrap_used, reason = "a test may fail by a panic")]

mod closed_form;
mod doubles;
mod goldens;
mod kinds;
mod learning;
mod networks;
mod objective;
mod service;
