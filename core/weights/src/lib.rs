//! Weights on disk: safetensors files, read and written tensor by tensor, with a hash of what they hold.
//!
//! | to | use |
//! | --- | --- |
//! | read a file once, from its beginning to its end | [`open`], [`read()`] |
//! | compare a file with the hash that it carries | [`verify`] |
//! | write a file | [`write()`] |
//!
//! A file that [`write()`] made says in its metadata, under [`CONTENT_KEY`], what the hash of its names, dtypes, shapes,
//! bytes and other metadata is. [`read()`] compares. A file from elsewhere has no such hash and is taken as it is.

mod content;
mod error;
mod header;
mod read;
mod write;

pub use content::CONTENT_KEY;
pub use error::{Result, WeightsError};
pub use header::{Entry, Metadata};
pub use read::{Summary, open, read, verify};
pub use safetensors::Dtype;
pub use write::write;
