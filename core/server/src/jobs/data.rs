//! The datasets that clients may name: Parquet files, and folders of them, in one folder of the server.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyflow_datasets::Dataset;
use serde::Serialize;

use crate::api_error::ApiError;
use crate::error::ServerError;
use crate::redact::Redaction;

/// Folders within each other that a list shows.
const DEEPEST: usize = 4;
/// The most entries of a list.
const LONGEST: usize = 1000;
const PARQUET: &str = "parquet";

/// The folder.
pub struct DataFolder {
    /// Without links.
    root: PathBuf,
    redaction: Redaction,
}

/// A dataset in a list.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct DatasetEntry {
    /// Its name: its path in the folder.
    pub name: String,
    /// Bytes of a file; `None` for a folder.
    pub bytes: Option<u64>,
}

impl DataFolder {
    /// Opens the folder.
    ///
    /// # Errors
    /// The path is not a folder.
    pub fn open(path: &Path) -> Result<DataFolder, ServerError> {
        let unusable = |source| ServerError::Data { path: path.into(), source };
        let root = fs::canonicalize(path).map_err(unusable)?;
        fs::read_dir(&root).map_err(unusable)?;
        let redaction = Redaction::of([root.clone()]);
        Ok(DataFolder { root, redaction })
    }

    /// The path of the folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of a dataset. A name leads nowhere but into the folder, through links neither.
    ///
    /// # Errors
    /// The folder has no dataset of this name.
    pub fn find(&self, name: &str) -> Result<PathBuf, ApiError> {
        let missing = || {
            let text = format!("this server has no dataset `{name}`; name one of its list");
            ApiError::missing("unknown-dataset", text)
        };
        let path = Path::new(name);
        let is_inside = !name.is_empty() && path.components().all(|part| matches!(part, Component::Normal(_)));
        let found = if is_inside { fs::canonicalize(self.root.join(path)).ok() } else { None };
        found.filter(|found| found.starts_with(&self.root)).ok_or_else(missing)
    }

    /// The number of rows of a dataset.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn rows(&self, path: &Path) -> Result<u64, ApiError> {
        let dataset = Dataset::open(&[path.to_path_buf()]);
        let dataset =
            dataset.map_err(|error| ApiError::bad("bad-dataset", self.redaction.apply(&error.to_string())))?;
        Ok(dataset.rows())
    }

    /// The datasets, in the order of their names.
    pub fn list(&self) -> Vec<DatasetEntry> {
        let mut found = Vec::new();
        self.add(&self.root, DEEPEST, &mut found);
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// Adds the datasets in a folder. True if there are files in it, so that it is a dataset as well.
    fn add(&self, folder: &Path, depth: usize, found: &mut Vec<DatasetEntry>) -> bool {
        let mut has_files = false;
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let (Ok(kind), Some(name)) = (entry.file_type(), self.name(&path)) else { continue };
            let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if is_hidden || found.len() >= LONGEST {
                continue;
            }
            if kind.is_dir() && depth > 1 {
                if self.add(&path, depth - 1, found) {
                    has_files = true;
                    found.push(DatasetEntry { name, bytes: None });
                }
            } else if kind.is_file() && path.extension().is_some_and(|extension| extension == PARQUET) {
                has_files = true;
                found.push(DatasetEntry { name, bytes: entry.metadata().ok().map(|metadata| metadata.len()) });
            }
        }
        has_files
    }

    fn name(&self, path: &Path) -> Option<String> {
        path.strip_prefix(&self.root).ok()?.to_str().map(String::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere_but_into_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("data");
        fs::create_dir_all(root.join("more/.hidden")).unwrap();
        for file in ["a.parquet", "more/b.parquet", "more/.hidden/c.parquet", "notes.txt", "../secret.parquet"] {
            fs::write(root.join(file), "x").unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), root.join("out")).unwrap();
        std::os::unix::fs::symlink(root.join("a.parquet"), root.join("same.parquet")).unwrap();
        let data = DataFolder::open(&root).unwrap();
        let names: Vec<String> = data.list().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["a.parquet", "more", "more/b.parquet"]);
        assert!(data.find("a.parquet").is_ok() && data.find("more").is_ok() && data.find("same.parquet").is_ok());
        let secret = folder.path().join("secret.parquet");
        let secret = secret.to_str().unwrap();
        for name in [
            "",
            ".",
            "..",
            "../secret.parquet",
            secret,
            "out/secret.parquet",
            "more/../../secret.parquet",
            "none",
            "a\0",
        ] {
            let refused = data.find(name).unwrap_err();
            assert_eq!(refused.code, "unknown-dataset", "{name}");
        }
        let text = data.rows(&root.join("a.parquet")).unwrap_err().text;
        assert!(text.contains("a.parquet") && !text.contains(folder.path().to_str().unwrap()), "{text}");
    }
}
