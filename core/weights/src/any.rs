//! Weights files of every format.

use std::path::Path;

use crate::error::{Result, WeightsError};
use crate::format::{self, Format};
use crate::header::TensorEntry;
use crate::summary::Summary;
use crate::{pickle, read};

/// Reads a weights file of any format that we know, as [`read()`](crate::read()) does.
///
/// # Errors
/// [`WeightsError`] if the file cannot be read or holds something else; errors of `each`.
pub fn read_any<E: From<WeightsError>>(
    path: &Path,
    each: impl FnMut(&TensorEntry, &[u8]) -> Result<(), E>,
) -> Result<Summary, E> {
    let mut file = read::open(path)?;
    match format::detect(&mut file)? {
        Format::Safetensors => read::read(file, each),
        Format::Compressed => read::read_compressed(file, each),
        Format::Pickle => pickle::read(file, path, each),
    }
}
