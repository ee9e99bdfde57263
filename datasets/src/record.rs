//! Our small JSON records.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{DatasetError, Result, io_error};
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
    let mut content = Vec::new();
    // Without NONBLOCK a pipe of this name would make us wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file: File = match retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty())) {
        Ok(file) => file.into(),
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(io_error(path, "open")(error.into())),
    };
    if !file.metadata().map_err(io_error(path, "read"))?.is_file() {
        return Err(DatasetError::Record { path: path.to_path_buf(), reason: "is not a regular file".into() });
    }
    file.read_to_end(&mut content).map_err(io_error(path, "read"))?;
    from_json(path, &content).map(Some)
}

pub(crate) fn from_json<T: DeserializeOwned>(path: &Path, content: &[u8]) -> Result<T> {
    serde_json::from_slice(content).map_err(|error| DatasetError::Record {
        path: path.to_path_buf(),
        reason: format!("is not what Anyflow wrote ({error})"),
    })
}
