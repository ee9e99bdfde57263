//! Folders that `anyflow data split` writes: all parts of one split, and nothing else.

use std::path::Path;

use super::listing::directly_in;
use super::tree::Tree;
use crate::data_file::name_of;
use crate::error::{DatasetError, Result};
use crate::split::{Parts, SPLIT_FILE, SplitRecord};

/// Refuses a folder of a split that has not ended, or whose files are not those of its record. Others pass.
///
/// # Errors
/// [`DatasetError::Unfinished`], [`DatasetError::Mixed`], [`DatasetError::NotAsListed`]; errors of reading the record.
pub(super) fn check(tree: &Tree, folder: &Path) -> Result<()> {
    let Some(parts) = parts(tree, folder)? else { return Ok(()) };
    for file in &parts.files {
        let (path, listed) = (folder.join(&file.name), file.content.size_bytes);
        let reason = match tree.size(&path)? {
            Some(found) if found == listed => continue,
            Some(found) => format!("has {found} bytes, but {SPLIT_FILE} lists {listed}"),
            None => format!("is missing, but {SPLIT_FILE} lists it"),
        };
        return Err(DatasetError::NotAsListed { path, reason });
    }
    let is_foreign = |name: &String| parts.files.iter().all(|file| file.name != *name);
    match directly_in(tree, folder)?.iter().map(|path| name_of(path)).find(is_foreign) {
        None => Ok(()),
        Some(name) => {
            let reason = format!("{name} is not a part of the split that {SPLIT_FILE} describes");
            Err(DatasetError::Mixed { path: folder.to_path_buf(), reason })
        }
    }
}

/// Refuses the folder of a split that has not ended.
///
/// # Errors
/// [`DatasetError::Unfinished`]; errors of reading the record.
pub(super) fn refuse_unfinished(tree: &Tree, folder: &Path) -> Result<()> {
    parts(tree, folder).map(drop)
}

/// The parts that a folder's record lists; `None` if no split wrote there.
fn parts(tree: &Tree, folder: &Path) -> Result<Option<Parts>> {
    if !tree.has(&folder.join(SPLIT_FILE))? {
        return Ok(None);
    }
    let unfinished = || DatasetError::Unfinished { path: folder.to_path_buf() };
    let record = SplitRecord::read(folder)?;
    record.map(|record| record.parts.ok_or_else(unfinished)).transpose()
}
