//! Writes a file with memory for the largest tensor.

use std::io::Write;

use safetensors::tensor::TensorInfo;
use serde_json::{Map, Value};

use crate::CONTENT_KEY;
use crate::content::ContentHasher;
use crate::error::{Result, WeightsError};
use crate::header::{LENGTH_BYTES, Metadata, TensorEntry};

/// Writes a file with the hash of its content in the metadata. `bytes` returns the little-endian bytes of a tensor. It
/// is called twice per tensor: for the hash, which comes first in the file, and for the data. Equal tensors and
/// metadata give equal files.
///
/// # Errors
/// [`WeightsError::Write`]; errors of `bytes`.
pub fn write<E: From<WeightsError>>(
    to: &mut impl Write,
    mut entries: Vec<TensorEntry>,
    mut metadata: Metadata,
    mut bytes: impl FnMut(&TensorEntry) -> Result<Vec<u8>, E>,
) -> Result<(), E> {
    // The order of the reference implementation, which aligns each tensor to its elements.
    entries.sort_by(|a, b| b.dtype.cmp(&a.dtype).then_with(|| a.name.cmp(&b.name)));
    let mut content = ContentHasher::default();
    for entry in &entries {
        content.add(entry, &bytes(entry)?);
    }
    metadata.insert(CONTENT_KEY.into(), content.finish(&metadata));
    let header = header(&entries, &metadata)?;
    to.write_all(&(header.len() as u64).to_le_bytes()).map_err(WeightsError::Write)?;
    to.write_all(&header).map_err(WeightsError::Write)?;
    for entry in &entries {
        to.write_all(&bytes(entry)?).map_err(WeightsError::Write)?;
    }
    Ok(())
}

fn header(entries: &[TensorEntry], metadata: &Metadata) -> Result<Vec<u8>> {
    let impossible = |error: serde_json::Error| WeightsError::Write(error.into());
    let mut fields = Map::new();
    fields.insert("__metadata__".into(), serde_json::to_value(metadata).map_err(impossible)?);
    let mut start = 0;
    for TensorEntry { name, dtype, shape, size_bytes } in entries {
        let data_offsets = (start, start + size_bytes);
        start = data_offsets.1;
        let info = TensorInfo { dtype: *dtype, shape: shape.clone(), data_offsets };
        fields.insert(name.clone(), serde_json::to_value(info).map_err(impossible)?);
    }
    let mut text = serde_json::to_vec(&Value::Object(fields)).map_err(impossible)?;
    text.resize(text.len().next_multiple_of(LENGTH_BYTES), b' ');
    Ok(text)
}
