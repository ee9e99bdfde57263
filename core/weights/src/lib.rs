//! Safetensors files, read and written tensor by tensor, with a hash of their content; PyTorch files, read only.
//!
//! | to | use |
//! | --- | --- |
//! | read a file of any of these formats | [`read_any`] |
//! | read a safetensors file once, from its beginning to its end | [`open`], [`read()`] |
//! | compare a file with the hash that it carries | [`verify`] |
//! | write a file | [`write()`] |
//!
//! [`write()`] stores the hash of names, dtypes, shapes, bytes and other metadata under [`CONTENT_KEY`] in the
//! metadata. [`read()`] compares it. Files from other programs have no such hash and are accepted as they are.

mod any;
mod content;
mod error;
mod format;
mod header;
mod pickle;
mod read;
mod summary;
mod write;

pub use any::read_any;
pub use error::{Result, WeightsError};
pub use header::{Metadata, TensorEntry};
pub use read::{open, read, verify};
pub use safetensors::Dtype;
pub use summary::Summary;
pub use write::write;

/// Metadata key of the hash of everything else in the file.
pub const CONTENT_KEY: &str = "anyflow.blake3";
