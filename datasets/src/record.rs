//! The small JSON files that we write and read again.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{DatasetError, Result, io_error};

pub(crate) fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| DatasetError::internal("writing JSON", error))?;
    text.push(b'\n');
    Ok(text)
}

/// The record in a file; `None` if there is no such file.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match std::fs::read(path) {
        Ok(content) => from_json(path, &content).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error(path, "open")(error)),
    }
}

pub(crate) fn from_json<T: DeserializeOwned>(path: &Path, content: &[u8]) -> Result<T> {
    serde_json::from_slice(content).map_err(|error| DatasetError::Record {
        path: path.to_path_buf(),
        reason: format!("is not what Anyflow wrote ({error})"),
    })
}
