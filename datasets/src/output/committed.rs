//! Which shards of a job are committed, whoever did them. Only names are read: whoever finishes the job checks the commits.

use std::collections::BTreeSet;
use std::path::Path;

use super::names::{COMMIT_FOLDER, commit_file, shard_of_commit};
use super::part;
use super::stored::Stored;
use crate::error::{Result, io_error};
use crate::store::{is_address, is_there};

/// The shards of the job at `output` that are committed there or in one of its parts. None if there is no job yet.
///
/// # Errors
/// The disk or the store.
pub fn committed_shards(output: &Path) -> Result<BTreeSet<u64>> {
    let shards = |names: Vec<String>| names.into_iter().filter_map(|name| shard_of_commit(&name)).collect::<Vec<u64>>();
    if is_address(output) {
        return Ok(shards(Stored::at(output)?.names(COMMIT_FOLDER)?).into_iter().collect());
    }
    let mut found: BTreeSet<u64> = shards(names(&output.join(COMMIT_FOLDER))?).into_iter().collect();
    for part in part::folders(output)? {
        found.extend(shards(names(&part.join(COMMIT_FOLDER))?));
    }
    Ok(found)
}

/// True if a shard of the job at `output` is committed there or in one of its parts.
///
/// # Errors
/// The disk or the store.
pub fn is_committed(output: &Path, shard: u64) -> Result<bool> {
    let name = commit_file(shard);
    if is_there(&output.join(&name))? {
        return Ok(true);
    }
    Ok(!is_address(output) && part::folders(output)?.iter().any(|part| part.join(&name).is_file()))
}

/// The names of the files in a folder of the disk; none if there is no such folder.
fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error(folder, "list")(error)),
    };
    let name = |entry: std::io::Result<std::fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    entries.map(name).collect::<std::io::Result<_>>().map_err(io_error(folder, "list"))
}
