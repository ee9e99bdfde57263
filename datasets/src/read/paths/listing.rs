//! What lies directly in a folder.

use std::path::{Path, PathBuf};

use super::entry::{Entry, Kind};
use super::tree::Tree;
use crate::error::Result;
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
/// unfinished or private.
pub(super) fn listing(tree: &Tree, folder: &Path) -> Result<Listing> {
    let mut found = Listing::default();
    let is_private = |path: &Path| {
        let name = path.file_name().map(|name| name.as_encoded_bytes());
        matches!(name.and_then(<[u8]>::first), Some(b'.' | b'_'))
    };
    for Entry { path, kind } in tree.entries(folder)?.into_iter().filter(|entry| !is_private(&entry.path)) {
        match kind {
            Kind::Folder => found.folders.push(path),
            Kind::File if is_parquet(&path) => found.files.push(path),
            Kind::File => {}
        }
    }
    found.files.sort_by(|a, b| by_number(a, b));
    found.folders.sort_by(|a, b| by_number(a, b));
    Ok(found)
}

/// True for the name of a Parquet file.
pub(crate) fn is_parquet(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

/// The Parquet files directly in a folder, in natural order.
pub(super) fn directly_in(tree: &Tree, folder: &Path) -> Result<Vec<PathBuf>> {
    listing(tree, folder).map(|found| found.files)
}
