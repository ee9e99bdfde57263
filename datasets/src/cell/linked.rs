//! Media cells that hold a path instead of bytes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, StringArray};

/// The files that a column points to, read on demand.
#[derive(Clone, Debug)]
pub(super) struct LinkedFiles {
    paths: Arc<StringArray>,
    folder: Option<PathBuf>,
    /// One slot per row, so that a cell can be borrowed from the column like any other.
    loaded: Arc<Vec<OnceLock<Vec<u8>>>>,
}

impl LinkedFiles {
    pub(super) fn new(paths: Arc<StringArray>) -> LinkedFiles {
        let loaded = Arc::new((0..paths.len()).map(|_| OnceLock::new()).collect());
        LinkedFiles { paths, folder: None, loaded }
    }

    pub(super) fn in_folder(mut self, folder: Option<&Path>) -> LinkedFiles {
        self.folder = folder.map(Path::to_path_buf);
        self
    }

    /// Content of the file that a row names, `None` if it names none; the error is a reason in words.
    pub(super) fn get(&self, row: usize) -> Result<Option<&[u8]>, String> {
        if self.paths.is_null(row) {
            return Ok(None);
        }
        let slot = &self.loaded[row];
        if slot.get().is_none() {
            let bytes = read_inside(self.folder.as_deref(), self.paths.value(row))?;
            // Another thread may have been faster; both read the same file.
            let _ = slot.set(bytes);
        }
        Ok(slot.get().map(Vec::as_slice))
    }
}

/// Reads a file below `folder`. A dataset from elsewhere must not make a run read (and publish) other files of the machine.
fn read_inside(folder: Option<&Path>, path: &str) -> Result<Vec<u8>, String> {
    let folder = folder.ok_or_else(|| {
        format!(
            "holds no bytes, only the path `{path}`, and its files lie in several folders; give one folder at a time"
        )
    })?;
    let missing = |error: std::io::Error| format!("holds no bytes, and its file `{path}` cannot be read: {error}");
    let root = folder.canonicalize().map_err(missing)?;
    let file = root.join(path).canonicalize().map_err(missing)?;
    if !file.starts_with(&root) {
        return Err(format!("its file `{path}` lies outside the dataset's folder; import the data to embed the bytes"));
    }
    std::fs::read(&file).map_err(missing)
}
