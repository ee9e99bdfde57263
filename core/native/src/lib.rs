//! The few libtorch functions that tch lacks, through a small C++ shim.
//!
//! An optimizer step over a hundred parameters is one call, since calls dominate the cost of small networks. C++
//! exceptions become a [`NativeError`].

#![allow(unsafe_code)] // the border to C++

mod ffi;
mod globals;
mod inference;
mod optimizer;

pub use ffi::{Globals, Numbers};
pub use inference::InferenceMode;
pub use optimizer::{Adamw, AdamwTensors};

/// A libtorch call failed, usually because the caller passed invalid tensors.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{op}: {message}")]
pub struct NativeError {
    /// The operation, by its libtorch name.
    pub op: &'static str,
    /// The first line of libtorch's message.
    pub message: String,
}

/// A result with [`NativeError`] as the default error.
pub type Result<T, E = NativeError> = std::result::Result<T, E>;
