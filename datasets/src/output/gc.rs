//! Removes what killed processes leave: files that no commit names, and nothing else.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::names::{COMMIT_FOLDER, DATA_FOLDER, JOB_FILE, WRITTEN_FOLDERS, shard_of_commit, shard_of_file};
use super::part;
use super::stored::Stored;
use crate::error::{DatasetError, Result};
use crate::folder::Folder;
use crate::store::is_address;

/// A file that no commit names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Orphan {
    /// Path inside the output.
    pub file: String,
    /// Its length.
    pub size_bytes: u64,
}

/// Removes the temporary files and the shards without a commit of an output and of its parts. In a store, where processes
/// may be writing, only those that are older than `age`.
///
/// # Errors
/// [`DatasetError::Missing`] for a folder without a job, [`DatasetError::Busy`] while a process writes to a folder; the disk or
/// the store.
pub fn remove_orphans(path: &Path, age: Duration) -> Result<Vec<Orphan>> {
    if is_address(path) {
        return in_store(&Stored::at(path)?, age);
    }
    let parts = part::folders(path)?;
    if !path.join(JOB_FILE).is_file() && parts.is_empty() {
        return Err(DatasetError::Missing { path: path.join(JOB_FILE) });
    }
    let mut removed = Vec::new();
    for folder in std::iter::once(path).chain(parts.iter().map(|part| part.as_path())) {
        let below = folder.strip_prefix(path).unwrap_or(folder);
        for Orphan { file, size_bytes } in in_folder(folder)? {
            removed.push(Orphan { file: below.join(file).display().to_string(), size_bytes });
        }
    }
    Ok(removed)
}

fn in_folder(path: &Path) -> Result<Vec<Orphan>> {
    let folder = Folder::open(path)?;
    let committed: BTreeSet<u64> =
        folder.files(COMMIT_FOLDER)?.iter().filter_map(|name| shard_of_commit(name)).collect();
    let mut files = Vec::new();
    for place in WRITTEN_FOLDERS {
        let name = |name: String| if place.is_empty() { name } else { format!("{place}/{name}") };
        files.extend(folder.temporary_files(place)?.into_iter().map(name));
    }
    let is_orphan = |name: &String| shard_of_file(name).is_some_and(|shard| !committed.contains(&shard));
    let shards = folder.files(DATA_FOLDER)?.into_iter().filter(is_orphan);
    files.extend(shards.map(|name| format!("{DATA_FOLDER}/{name}")));
    let mut removed = Vec::new();
    for file in files {
        let size_bytes = folder.length(&file)?.unwrap_or(0);
        folder.remove(&file)?;
        removed.push(Orphan { file, size_bytes });
    }
    Ok(removed)
}

fn in_store(stored: &Stored, age: Duration) -> Result<Vec<Orphan>> {
    if stored.read(JOB_FILE)?.is_none() {
        return Err(DatasetError::Missing { path: stored.path().join(JOB_FILE) });
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let before = i64::try_from(now.saturating_sub(age).as_millis()).unwrap_or(i64::MAX);
    let mut removed = Vec::new();
    for object in stored.shards_without_commit()? {
        if object.version.modified <= before {
            let file = format!("{DATA_FOLDER}/{}", object.name);
            stored.remove(&file)?;
            removed.push(Orphan { file, size_bytes: object.version.size_bytes });
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_shards_without_a_commit_leave_a_store() {
        let stored = Stored::in_memory("out", None);
        let orphan = format!("{DATA_FOLDER}/shard-00001-0123456789abcdef.parquet");
        stored.write(&orphan, b"rows").unwrap();
        let error = in_store(&stored, Duration::ZERO).unwrap_err();
        assert!(matches!(&error, DatasetError::Missing { path } if path.ends_with("out/job.json")), "{error}");
        stored.write(JOB_FILE, b"{}").unwrap();
        assert_eq!(in_store(&stored, Duration::from_secs(3600)).unwrap(), []);
        assert_eq!(in_store(&stored, Duration::ZERO).unwrap(), [Orphan { file: orphan.clone(), size_bytes: 4 }]);
        assert_eq!(stored.read(&orphan).unwrap(), None);
    }
}
