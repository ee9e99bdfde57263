//! Weights files of every format.

use std::fs::File;
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
    read_any_known(path, |_| None, each)
}

/// As [`read_any`], for a file whose hash may be known from an earlier reading: then nothing is hashed. The caller makes sure
/// that the file is still the same, before and after.
///
/// # Errors
/// See [`read_any`].
pub fn read_any_known<E: From<WeightsError>>(
    path: &Path,
    known: impl FnOnce(&File) -> Option<String>,
    each: impl FnMut(&TensorEntry, &[u8]) -> Result<(), E>,
) -> Result<Summary, E> {
    let mut file = read::open(path)?;
    let known = known(&file);
    match format::detect(&mut file)? {
        Format::Safetensors => read::read_known(file, known, each),
        Format::Pickle => pickle::read(file, path, known, each),
    }
}
