//! The few libtorch functions that tch lacks, through a C++ shim of some lines each.
//!
//! Lists of tensors cross in one call, so that an optimizer step over a hundred parameters costs a handful of calls.
//! What libtorch throws becomes a [`NativeError`].

#![allow(unsafe_code)] // the border to C++

mod ffi;
mod foreach;
mod gradient;
mod inference;
mod optimizer;

pub use foreach::{foreach_lerp_, norm};
pub use gradient::{clear_gradients, gradients};
pub use inference::InferenceMode;
pub use optimizer::{Adamw, AdamwLists, fused_adamw_};

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
