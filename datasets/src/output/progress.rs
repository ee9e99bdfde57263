//! How far a job is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::attempts::ShardAttempts;
use super::manifest::Commit;
use super::names::{ATTEMPT_FOLDER, COMMIT_FOLDER, JOB_FILE, MANIFEST_FILE, shard_of_attempt, shard_of_commit};
use super::part::{self, PART_FILE};
use crate::error::{DatasetError, Result};
use crate::folder::Folder;
use crate::record;

/// The state of a job, or of one of its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartProgress {
    /// Name of the part; empty for the output folder itself.
    pub name: String,
    /// The process that writes to it, as a phrase; in a store, the one that began it last and may have ended.
    pub holder: Option<String>,
    /// True if all its shards are committed.
    pub is_complete: bool,
    /// Committed shards.
    pub shards: u64,
    /// Their good rows.
    pub rows: u64,
    /// Their failed rows, by code.
    pub failed: BTreeMap<String, u64>,
    /// The attempts that committed them.
    pub attempts: u64,
    /// Attempts at shards that are not committed, where they are counted.
    pub tries: Vec<ShardAttempts>,
}

impl PartProgress {
    /// Counts a commit.
    pub(super) fn add(&mut self, commit: &Commit) {
        self.shards += 1;
        self.rows += commit.shard.rows;
        self.attempts = self.attempts.max(commit.attempt);
        commit.failures.iter().for_each(|failure| *self.failed.entry(failure.code.clone()).or_default() += 1);
    }
}

/// The state of the job in a folder, and of its parts: of the whole job first.
pub(super) fn on_disk(path: &Path) -> Result<Vec<PartProgress>> {
    let parts = part::folders(path)?;
    let mut found = Vec::new();
    if path.join(JOB_FILE).is_file() {
        found.push(progress(path, String::new(), MANIFEST_FILE)?);
    }
    for part in &parts {
        let name = part.file_name().unwrap_or_default().to_string_lossy().into_owned();
        found.push(progress(part, name, PART_FILE)?);
    }
    if found.is_empty() { Err(DatasetError::Missing { path: path.join(JOB_FILE) }) } else { Ok(found) }
}

fn progress(path: &Path, name: String, end: &str) -> Result<PartProgress> {
    let holder = Folder::holder(path);
    let is_complete = path.join(end).is_file();
    let mut found = PartProgress { name, holder, is_complete, ..PartProgress::default() };
    let mut committed = BTreeSet::new();
    for (shard, path) in records(&path.join(COMMIT_FOLDER), shard_of_commit) {
        let Some(commit) = record::read::<Commit>(&path)? else { continue };
        found.add(&commit);
        committed.insert(shard);
    }
    for (shard, path) in records(&path.join(ATTEMPT_FOLDER), shard_of_attempt) {
        if !committed.contains(&shard) {
            found.tries.extend(record::read::<ShardAttempts>(&path)?);
        }
    }
    Ok(found)
}

/// The records of shards in a folder, in order; none if there is no such folder.
fn records(folder: &Path, shard_of: fn(&str) -> Option<u64>) -> BTreeMap<u64, PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((shard_of(&entry.file_name().to_string_lossy())?, entry.path()))).collect()
}
