//! The Parquet files below a folder.

use std::path::{Path, PathBuf};

use super::listing::{Listing, listing};
use super::tree::Tree;
use super::{output, parted, shown};
use crate::data_file::name_of;
use crate::error::{DatasetError, Result};
use crate::natural::by_number;

/// All Parquet files in a folder and in the folders below it, in the natural order of paths.
///
/// # Errors
/// [`DatasetError::Empty`] if there are none; [`DatasetError::Splits`] if they lie both in the folder itself and in
/// folders below it, unless `all` are asked for.
pub(super) fn files(tree: &Tree, folder: &Path, all: bool) -> Result<Vec<PathBuf>> {
    let mut outputs = Vec::new();
    let Listing { files: mut own, folders } = listing(tree, folder)?;
    let mut below = Vec::new();
    folders.iter().try_for_each(|folder| add(tree, folder, &mut below, &mut outputs))?;
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

fn add(tree: &Tree, folder: &Path, files: &mut Vec<PathBuf>, outputs: &mut Vec<PathBuf>) -> Result<()> {
    if output::is_output(tree, folder)? {
        outputs.push(folder.to_path_buf());
        return Ok(());
    }
    parted::check(tree, folder)?;
    let found = listing(tree, folder)?;
    files.extend(found.files);
    found.folders.iter().try_for_each(|folder| add(tree, folder, files, outputs))
}
