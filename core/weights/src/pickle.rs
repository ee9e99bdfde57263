//! PyTorch files (`.pth`, `.pt`, `.bin`): what `torch.save` writes. No code of the file is run: a restricted reader builds
//! dictionaries and tensors, and refuses everything else.

use std::fs::{File, Metadata as FileMetadata};
use std::io::Seek;
use std::path::Path;

use pytorch_reader::{DType, PytorchReader, Tensor};
use safetensors::Dtype;

use crate::error::{Result, WeightsError};
use crate::header::{Metadata, TensorEntry};
use crate::summary::Summary;

/// Reads all tensors of a file and passes each with its little-endian bytes to `each`, sorted by name. A nested dictionary
/// gives dotted names. Memory: the largest tensor.
///
/// # Errors
/// [`WeightsError::Pickle`] if the file is damaged or holds more than dictionaries of dense tensors;
/// [`WeightsError::Changed`] if another file took its place meanwhile; errors of `each`.
pub(crate) fn read<E: From<WeightsError>>(
    mut file: File,
    path: &Path,
    known: Option<String>,
    mut each: impl FnMut(&TensorEntry, &[u8]) -> Result<(), E>,
) -> Result<Summary, E> {
    let before = file.metadata().map_err(WeightsError::Read)?;
    let blake3 = match known {
        Some(known) => known,
        None => {
            file.rewind().map_err(WeightsError::Read)?;
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(&mut file).map_err(WeightsError::Read)?;
            hasher.finalize().to_hex().to_string()
        }
    };
    let mut tensors: Vec<Tensor> = PytorchReader::new(path).map_err(unfit)?.into_tensors().into_values().collect();
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    for tensor in &tensors {
        each(&entry(tensor), &tensor.read().map_err(unfit)?)?;
    }
    // The reader opens the path again for each tensor; the hash is that of `file`.
    let after = std::fs::metadata(path).map_err(WeightsError::Read)?;
    if !is_same(&before, &after) {
        return Err(WeightsError::Changed.into());
    }
    Ok(Summary { metadata: Metadata::new(), blake3, proven: false })
}

pub(crate) fn unfit(error: impl std::fmt::Display) -> WeightsError {
    WeightsError::Pickle(error.to_string())
}

pub(crate) fn entry(tensor: &Tensor) -> TensorEntry {
    TensorEntry {
        name: tensor.name.clone(),
        dtype: dtype(tensor.dtype()),
        shape: tensor.shape().to_vec(),
        size_bytes: tensor.byte_len(),
    }
}

fn dtype(of: DType) -> Dtype {
    match of {
        DType::F64 => Dtype::F64,
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::I64 => Dtype::I64,
        DType::I32 => Dtype::I32,
        DType::I16 => Dtype::I16,
        DType::I8 => Dtype::I8,
        DType::U64 => Dtype::U64,
        DType::U32 => Dtype::U32,
        DType::U16 => Dtype::U16,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::BOOL,
    }
}

fn is_same(before: &FileMetadata, after: &FileMetadata) -> bool {
    #[cfg(unix)]
    let inode = |of: &FileMetadata| {
        use std::os::unix::fs::MetadataExt;
        (of.dev(), of.ino())
    };
    #[cfg(not(unix))]
    let inode = |_: &FileMetadata| ();
    inode(before) == inode(after) && before.len() == after.len() && before.modified().ok() == after.modified().ok()
}

#[cfg(test)]
mod tests;
