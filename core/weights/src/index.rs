//! Index files: which of several files holds which tensor.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Result, WeightsError};
use crate::flaw::FolderFlaw;
use crate::read;

/// The longest index that is read.
const MAX_INDEX_BYTES: u64 = 16 << 20;

/// An index, as `save_pretrained` writes it.
#[derive(Debug, Deserialize)]
pub(crate) struct Index {
    /// Tensor -> file beside the index.
    pub weight_map: BTreeMap<String, String>,
}

impl Index {
    /// Reads an index.
    ///
    /// # Errors
    /// [`WeightsError::Read`]; [`FolderFlaw::Index`].
    pub(crate) fn read(path: &Path) -> Result<Index> {
        let mut text = Vec::new();
        let file = read::open(path)?;
        file.take(MAX_INDEX_BYTES + 1).read_to_end(&mut text).map_err(WeightsError::Read)?;
        if text.len() as u64 > MAX_INDEX_BYTES {
            return Err(flaw(format!("it is longer than {MAX_INDEX_BYTES} bytes")));
        }
        let index: Index = serde_json::from_slice(&text).map_err(|error| flaw(error.to_string()))?;
        match index.weight_map.iter().find(|(_, file)| !is_plain(file)) {
            Some((tensor, file)) => {
                Err(flaw(format!("it says that `{tensor}` is in {file:?}, which is not the name of a file beside it")))
            }
            None if index.weight_map.is_empty() => Err(flaw("its `weight_map` is empty".into())),
            None => Ok(index),
        }
    }
}

/// The files of an index, each once.
///
/// # Errors
/// [`FolderFlaw::MissingFile`].
pub(crate) fn files(index: &Index, folder: &Path) -> Result<Vec<PathBuf>> {
    let names: BTreeSet<&String> = index.weight_map.values().collect();
    match names.iter().find(|name| !folder.join(name).exists()) {
        Some(name) => Err(FolderFlaw::MissingFile { file: name.to_string() }.into()),
        None => Ok(names.into_iter().map(|name| folder.join(name)).collect()),
    }
}

/// True for a name that cannot lead out of the folder. What a link beside the index leads to is the user's choice.
fn is_plain(file: &str) -> bool {
    !file.is_empty() && ![".", ".."].contains(&file) && !file.contains(['/', '\\', '\0'])
}

fn flaw(text: String) -> WeightsError {
    FolderFlaw::Index(text).into()
}
