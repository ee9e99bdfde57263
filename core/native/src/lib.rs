//! The few libtorch functions that tch lacks, through a C++ shim of some lines each.
//!
//! An optimizer step over a hundred parameters is one call, for small networks are limited by the calls.
//! What libtorch throws becomes a [`NativeError`].

#![allow(unsafe_code)] // the border to C++

mod ffi;
mod globals;
mod inference;
mod optimizer;

pub use globals::Globals;
pub use inference::InferenceMode;
pub use optimizer::{Adamw, AdamwTensors, Numbers};

/// libtorch refused. Whoever made the tensors must act.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{op}: {message}")]
pub struct NativeError {
    /// The operation, by the name libtorch gives it.
    pub op: &'static str,
    /// The first line of libtorch's message.
    pub message: String,
}

/// The result of everything fallible in this crate.
pub type Result<T, E = NativeError> = std::result::Result<T, E>;
