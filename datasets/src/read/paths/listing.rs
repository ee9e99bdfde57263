//! What lies directly in a folder.

use std::path::{Path, PathBuf};

use crate::error::{Result, io_error};
use crate::natural::by_number;

/// Endings of Parquet files, in lower case.
const ENDINGS: [&str; 3] = ["parquet", "pq", "parq"];

/// What a folder holds.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) files: Vec<PathBuf>,
    pub(super) folders: Vec<PathBuf>,
}

/// The Parquet files and folders directly in a folder, in natural order. By convention, names that start with `.` or `_` are
/// unfinished or private. Links to folders could form cycles.
pub(super) fn listing(folder: &Path) -> Result<Listing> {
    let mut found = Listing::default();
    for entry in std::fs::read_dir(folder).map_err(io_error(folder, "list"))? {
        let entry = entry.map_err(io_error(folder, "list"))?;
        let path = entry.path();
        if matches!(entry.file_name().as_encoded_bytes().first(), Some(b'.' | b'_')) {
            continue;
        }
        let is_link = path.is_symlink();
        if path.is_dir() && !is_link {
            found.folders.push(path);
        } else if path.is_file() && is_parquet(&path) {
            found.files.push(path);
        }
    }
    found.files.sort_by(|a, b| by_number(a, b));
    found.folders.sort_by(|a, b| by_number(a, b));
    Ok(found)
}

/// True for the name of a Parquet file.
pub(super) fn is_parquet(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

/// The Parquet files directly in a folder, in natural order.
pub(super) fn directly_in(folder: &Path) -> Result<Vec<PathBuf>> {
    listing(folder).map(|found| found.files)
}
