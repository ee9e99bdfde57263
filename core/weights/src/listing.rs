//! The tensors of a part, from the headers of its files alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pytorch_reader::PytorchReader;
use safetensors::Dtype;

use crate::compressed::Frame;
use crate::error::{FileError, Result, WeightsError};
use crate::flaw::FolderFlaw;
use crate::folder::WeightsFiles;
use crate::format::{self, Format};
use crate::header::{Header, TensorEntry};
use crate::index::Index;
use crate::{pickle, read};

/// The tensors of a part, and the files that hold them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The files.
    pub files: Vec<PathBuf>,
    /// The tensors, sorted by name.
    pub tensors: Vec<TensorEntry>,
}

impl Listing {
    /// Lists the tensors of a file, of the files of an index, or of a folder; see [`WeightsFiles::find`]. Reads headers only:
    /// memory and time depend on the number of tensors, not on their sizes.
    ///
    /// # Errors
    /// [`FileError`]: a file is missing or damaged, is something else, or holds quantized tensors.
    pub fn of(path: &Path, variant: Option<&str>) -> Result<Listing, FileError> {
        let found = WeightsFiles::find(path, variant)?;
        let mut tensors = BTreeMap::new();
        for (file, path) in found.files.iter().enumerate() {
            for entry in entries(path).map_err(FileError::at(path))? {
                if let Some((first, _)) = tensors.insert(entry.name.clone(), (file, entry.clone())) {
                    let error = twice(entry.name, &found.files, [first, file]);
                    return Err(FileError::at(found.index.as_deref().unwrap_or(path))(error));
                }
            }
        }
        if let Some(index) = &found.index {
            agree(index, &found.files, &tensors).map_err(FileError::at(index))?;
        }
        Ok(Listing { files: found.files, tensors: tensors.into_values().map(|(_, entry)| entry).collect() })
    }

    /// The size of all tensors in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.tensors.iter().map(|entry| entry.size_bytes as u64).sum()
    }
}

/// The tensors of a file, by its header.
fn entries(path: &Path) -> Result<Vec<TensorEntry>> {
    let mut file = read::open(path)?;
    let entries = match format::detect(&mut file)? {
        Format::Safetensors => {
            let size_bytes = read::size(&file)?;
            Header::read(&mut file, size_bytes)?.entries
        }
        Format::Compressed => {
            let file_bytes = read::size(&file)?;
            let mut frame = Frame::open(file, file_bytes)?;
            let size_bytes = frame.size_bytes;
            Header::read(&mut frame, size_bytes)?.entries
        }
        Format::Pickle => {
            let tensors = PytorchReader::new(path).map_err(pickle::unfit)?.into_tensors();
            tensors.into_values().map(|tensor| pickle::entry(&tensor)).collect()
        }
    };
    match entries.iter().find(|entry| is_quantized(entry.dtype)) {
        Some(entry) => Err(WeightsError::Quantized { tensor: entry.name.clone(), dtype: entry.dtype }),
        None => Ok(entries),
    }
}

/// True for types that stand for other numbers than their own.
fn is_quantized(dtype: Dtype) -> bool {
    let plain = [
        Dtype::F64,
        Dtype::F32,
        Dtype::F16,
        Dtype::BF16,
        Dtype::I64,
        Dtype::I32,
        Dtype::I16,
        Dtype::U64,
        Dtype::U32,
        Dtype::U16,
        Dtype::BOOL,
        Dtype::C64,
    ];
    !plain.contains(&dtype)
}

/// Compares an index with the headers of its files.
fn agree(index: &Path, files: &[PathBuf], tensors: &BTreeMap<String, (usize, TensorEntry)>) -> Result<()> {
    for (tensor, file) in Index::read(index)?.weight_map {
        if tensors.get(&tensor).is_none_or(|(at, _)| name(&files[*at]) != file) {
            return Err(FolderFlaw::AbsentTensor { tensor, file }.into());
        }
    }
    Ok(())
}

fn twice(tensor: String, files: &[PathBuf], [first, second]: [usize; 2]) -> WeightsError {
    FolderFlaw::Twice { tensor, first: name(&files[first]), second: name(&files[second]) }.into()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
