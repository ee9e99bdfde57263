//! Safetensors files, read and written tensor by tensor, with a hash of their content.
//!
//! | to | use |
//! | --- | --- |
//! | read a file once, from its beginning to its end | [`open`], [`read()`] |
//! | compare a file with the hash that it carries | [`verify`] |
//! | write a file | [`write()`] |
//!
//! [`write()`] stores the hash of names, dtypes, shapes, bytes and other metadata under [`CONTENT_KEY`] in the
//! metadata. [`read()`] compares it. Files from other programs have no such hash and are accepted as they are.

mod content;
mod error;
mod header;
mod read;
mod write;

pub use error::{Result, WeightsError};
pub use header::{Metadata, TensorEntry};
pub use read::{Summary, open, read, verify};
pub use safetensors::Dtype;
pub use write::write;

/// Metadata key of the hash of everything else in the file.
pub const CONTENT_KEY: &str = "anyflow.blake3";
