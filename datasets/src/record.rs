//! The small JSON files that we write and read again.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{DatasetError, Result};

pub(crate) fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| DatasetError::internal("writing JSON", error))?;
    text.push(b'\n');
    Ok(text)
}

pub(crate) fn from_json<T: DeserializeOwned>(path: &Path, content: &[u8]) -> Result<T> {
    serde_json::from_slice(content).map_err(|error| DatasetError::Record {
        path: path.to_path_buf(),
        reason: format!("is not what Anyflow wrote ({error})"),
    })
}
