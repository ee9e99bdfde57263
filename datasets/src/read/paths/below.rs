//! The Parquet files below a folder.

use std::path::{Path, PathBuf};

use super::{name_of, output, shown};
use crate::error::{DatasetError, Result, io_error};
use crate::natural::by_number;

/// Endings of Parquet files, in lower case.
const ENDINGS: [&str; 3] = ["parquet", "pq", "parq"];

/// What a folder holds.
#[derive(Default)]
struct Listing {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

/// All Parquet files in a folder and in the folders below it, in the natural order of paths.
///
/// # Errors
/// [`DatasetError::Empty`] if there are none; [`DatasetError::Splits`] if they lie both in the folder itself and in
/// folders below it, unless `all` are asked for.
pub(super) fn files(folder: &Path, all: bool) -> Result<Vec<PathBuf>> {
    let mut outputs = Vec::new();
    let Listing { files: mut own, folders } = listing(folder)?;
    let mut below = Vec::new();
    folders.iter().try_for_each(|folder| add(folder, &mut below, &mut outputs))?;
    if own.is_empty() && below.is_empty() {
        let reason = match outputs.first() {
            Some(first) => format!("it holds outputs of jobs; name one of them, such as {}", first.display()),
            None => "there is no *.parquet file in this folder or below it".into(),
        };
        return Err(DatasetError::Empty { path: folder.to_path_buf(), reason });
    }
    if let (Some(first), Some(other), false) = (own.first(), below.first(), all) {
        let other = other.strip_prefix(folder).unwrap_or(other).display();
        let reason = format!("Parquet files lie in this folder ({}) and in folders below it ({other})", name_of(first));
        let pattern = folder.join("*.parquet").display().to_string();
        let choices = vec![format!("'{pattern}'"), folders[0].display().to_string(), shown(folder, "all")];
        return Err(DatasetError::Splits { path: folder.to_path_buf(), reason, choices });
    }
    own.extend(below);
    own.sort_by(|a, b| by_number(a, b));
    Ok(own)
}

fn add(folder: &Path, files: &mut Vec<PathBuf>, outputs: &mut Vec<PathBuf>) -> Result<()> {
    if output::is_output(folder)? {
        outputs.push(folder.to_path_buf());
        return Ok(());
    }
    let found = listing(folder)?;
    files.extend(found.files);
    found.folders.iter().try_for_each(|folder| add(folder, files, outputs))
}

/// The Parquet files and folders directly in a folder, in natural order. By convention, names that start with `.` or `_` are
/// unfinished or private. Links to folders could form cycles.
fn listing(folder: &Path) -> Result<Listing> {
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
