//! Safetensors files, read and written tensor by tensor, with a hash of their content; PyTorch files, read only.
//!
//! | to | use |
//! | --- | --- |
//! | read a file of any of these formats | [`read_any`], [`read_any_known`] |
//! | read a safetensors file once, from its beginning to its end | [`open`], [`read()`] |
//! | compare a file with the hash that it carries | [`verify`] |
//! | write a file | [`write()`] |
//! | list the tensors of a file, of split files or of a folder, from headers alone | [`Listing`], [`WeightsFiles`] |
//! | bring published names and layouts into those of a model | [`KeyMap`] |
//! | compare a model with its files before any weight is read | [`WeightsReport`] |
//!
//! [`write()`] stores the hash of names, dtypes, shapes, bytes and other metadata under [`CONTENT_KEY`] in the
//! metadata. [`read()`] compares it. Files from other programs have no such hash and are accepted as they are.

mod any;
mod content;
mod error;
mod explained;
mod flaw;
mod folder;
mod format;
mod header;
mod index;
mod listing;
mod map;
mod pickle;
mod read;
mod report;
mod summary;
mod transform;
mod write;

pub use any::{read_any, read_any_known};
pub use error::{FileError, Result, WeightsError};
pub use explained::{CODES, WeightsCode};
pub use flaw::{Flaw, FolderFlaw, Stranger};
pub use folder::WeightsFiles;
pub use header::{Metadata, TensorEntry};
pub use listing::Listing;
pub use map::{KeyMap, Landing, MapError, names as map_names};
pub use read::{open, read, verify};
pub use report::{ExpectedTensor, MisshapenTensor, MissingTensor, PartFiles, PartReport, Refusal, WeightsReport};
pub use safetensors::Dtype;
pub use summary::Summary;
pub use transform::Transform;
pub use write::write;

/// Metadata key of the hash of everything else in the file.
pub const CONTENT_KEY: &str = "anyflow.blake3";
