//! Media cells that hold a path instead of bytes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, StringArray};

use crate::beneath::Beneath;

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

    /// The content of the file that a row names, `None` if it names none, or the reason why it cannot be read.
    pub(super) fn get(&self, row: usize) -> Result<Option<&[u8]>, String> {
        if self.paths.is_null(row) {
            return Ok(None);
        }
        let slot = &self.loaded[row];
        if slot.get().is_none() {
            let path = self.paths.value(row);
            let bytes = self.open(path)?.read().map_err(|refusal| unread(path, &refusal))?;
            // Another thread may have been faster; both read the same file.
            let _ = slot.set(bytes);
        }
        Ok(slot.get().map(Vec::as_slice))
    }

    /// Length of the file that a row names; 0 if it cannot be read.
    pub(super) fn size_bytes(&self, row: usize) -> u64 {
        self.path(row).and_then(|path| self.open(path).ok()).map_or(0, |file| file.size_bytes())
    }

    /// The path that a row names.
    pub(super) fn path(&self, row: usize) -> Option<&str> {
        self.paths.is_valid(row).then(|| self.paths.value(row))
    }

    fn open(&self, path: &str) -> Result<Beneath, String> {
        if path.starts_with("data:") || is_base64(path) {
            let length = path.len();
            return Err(format!(
                "holds {length} characters of base64, not a path; decode them into a column of bytes (Python: \
                 `base64.b64decode`)"
            ));
        }
        if path.contains("://") {
            return Err(format!("holds no bytes, and `{path}` is an address; download the file"));
        }
        let folder = self.folder.as_deref().ok_or_else(|| {
            format!(
                "holds only the path `{path}`, and the dataset's files are in several folders; read one folder at a time"
            )
        })?;
        Beneath::open(folder, Path::new(path)).map_err(|refusal| unread(path, &refusal))
    }
}

/// True for a text that is too long for the name of a file and has the letters of base64.
fn is_base64(text: &str) -> bool {
    const LONGEST_NAME: usize = 255;
    text.len() > LONGEST_NAME
        && text.bytes().take(LONGEST_NAME).all(|byte| byte.is_ascii_alphanumeric() || b"+/-_=\n\r".contains(&byte))
}

fn unread(path: &str, refusal: &crate::beneath::Refusal) -> String {
    format!("holds no bytes, and its file `{path}` cannot be read: {refusal}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_told_from_paths() {
        let letters = "iVBORw0KGgo/+A".repeat(40);
        assert!(is_base64(&letters) && is_base64(&format!("{letters}==")));
        for path in ["images/a", "/9j/4AAQ", &"long name/".repeat(40), &format!("{letters}.png")[..200]] {
            assert!(!is_base64(path), "{path}");
        }
        let files = LinkedFiles::new(Arc::new(StringArray::from(vec![letters, "data:image/png;base64,iVBO".into()])));
        let refused = [0, 1].map(|row| files.get(row).unwrap_err());
        assert!(refused[0].starts_with("holds 560 characters of base64"), "{refused:?}");
        assert!(refused[1].starts_with("holds 26 characters of base64"), "{refused:?}");
    }
}
