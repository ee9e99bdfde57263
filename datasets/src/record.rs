//! Our small JSON records.

use std::io::ErrorKind;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{DatasetError, Result, io_error};
use crate::regular::{MAX_RECORD_BYTES, read_regular};
use crate::store::Address;

pub(crate) fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| DatasetError::internal("writing JSON", error))?;
    text.push(b'\n');
    Ok(text)
}

/// Reads the record in a file or an object; `None` if it does not exist.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if let Some(address) = Address::parse(path)? {
        return address.read()?.map(|content| from_json(path, &content)).transpose();
    }
    match read_regular(path, MAX_RECORD_BYTES) {
        Ok(content) => from_json(path, &content).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::FileTooLarge) => {
            Err(DatasetError::Record { path: path.to_path_buf(), reason: format!("cannot be a record: {error}") })
        }
        Err(error) => Err(io_error(path, "read")(error)),
    }
}

pub(crate) fn from_json<T: DeserializeOwned>(path: &Path, content: &[u8]) -> Result<T> {
    serde_json::from_slice(content).map_err(|error| DatasetError::Record {
        path: path.to_path_buf(),
        reason: format!("is not what Anyflow wrote ({error})"),
    })
}
