//! The commits and the manifest of an output folder.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Expected;
use super::failures::Failure;
use super::names::{JOB_FILE, MANIFEST_FILE};
use super::shard::{Shard, short};
use crate::error::{DatasetError, Result};
use crate::job::JobRecord;
use crate::record;
use crate::write::WrittenFile;

/// Increases when older readers would misread the files.
const FORMAT: u32 = 2;
/// The oldest readable format.
const OLDEST_FORMAT: u32 = 1;

/// Proof that a shard is complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// The shard.
    #[serde(flatten)]
    pub shard: Shard,
    /// Fingerprint of the job that it belongs to.
    pub job: String,
    /// The attempt at the job that wrote it, from 1.
    pub attempt: u64,
    /// Rows of the shard that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
}

/// A file next to the shards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHash {
    /// Length of the file.
    pub size_bytes: u64,
    /// Hex blake3 of the file.
    pub blake3: String,
}

/// A finished job: the only list of files that readers trust.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of these files.
    pub format: u32,
    /// Fingerprint of the job.
    pub fingerprint: String,
    /// Rows written.
    pub rows: u64,
    /// Rows in `failures.parquet`.
    pub failures: u64,
    /// `failures.parquet`; missing in format 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures_file: Option<FileHash>,
    /// License of the weights that made the rows, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Shards in order.
    pub shards: Vec<Shard>,
}

impl From<WrittenFile> for FileHash {
    fn from(written: WrittenFile) -> FileHash {
        FileHash { size_bytes: written.size_bytes, blake3: written.blake3 }
    }
}

/// The number of the attempt at a job that finds these commits.
pub(super) fn next_attempt(commits: &BTreeMap<u64, Commit>) -> u64 {
    1 + commits.values().map(|commit| commit.attempt).max().unwrap_or(0)
}

impl Manifest {
    pub(super) fn new<'c>(
        fingerprint: &str,
        commits: impl Iterator<Item = &'c Commit> + Clone,
        failures_file: FileHash,
    ) -> Manifest {
        Manifest {
            format: FORMAT,
            fingerprint: fingerprint.to_string(),
            rows: commits.clone().map(|commit| commit.shard.rows).sum(),
            failures: commits.clone().map(|commit| commit.failures.len() as u64).sum(),
            failures_file: Some(failures_file),
            license: None,
            shards: commits.map(|commit| commit.shard.clone()).collect(),
        }
    }

    /// Reads the manifest of an output folder.
    ///
    /// # Errors
    /// [`DatasetError::Missing`] if the job has not finished, [`DatasetError::Record`] for a damaged or newer file.
    pub fn read(folder: &Path) -> Result<Manifest> {
        let path = folder.join(MANIFEST_FILE);
        let Some(manifest) = record::read::<Manifest>(&path)? else { return Err(DatasetError::Missing { path }) };
        manifest.checked(&path)
    }

    /// True if it is of this job, and lists these shards.
    pub(super) fn is_of(&self, job: &str, expected: Expected, commits: &BTreeMap<u64, Commit>) -> bool {
        let shards = self.shards.iter().eq(commits.values().map(|commit| &commit.shard));
        let rows = self.rows.checked_add(self.failures);
        shards && self.fingerprint == job && rows == Some(expected.rows)
    }

    /// Refuses a folder with the `job.json` of another job: two jobs wrote to it.
    pub(crate) fn agrees_with_job(&self, folder: &Path) -> Result<()> {
        match record::read::<JobRecord>(&folder.join(JOB_FILE))? {
            Some(job) if job.fingerprint != self.fingerprint => {
                let ours = short(&self.fingerprint);
                let theirs = short(&job.fingerprint);
                let reason = format!("is of the job {ours}, but {JOB_FILE} is of the job {theirs}");
                Err(DatasetError::Record { path: folder.join(MANIFEST_FILE), reason })
            }
            _ => Ok(()),
        }
    }

    /// This manifest, read from `path`, if its format is known and its content is consistent.
    pub(super) fn checked(self, path: &Path) -> Result<Manifest> {
        if !(OLDEST_FORMAT..=FORMAT).contains(&self.format) {
            return Err(DatasetError::OtherFormat { path: path.to_path_buf(), found: self.format, known: FORMAT });
        }
        match self.contradiction() {
            Some(reason) => Err(DatasetError::Record { path: path.to_path_buf(), reason }),
            None => Ok(self),
        }
    }

    /// A contradiction within the manifest.
    fn contradiction(&self) -> Option<String> {
        if let Some((number, shard)) = (0..).zip(&self.shards).find(|(number, shard)| shard.shard != *number) {
            return Some(format!("lists shard {} where shard {number} belongs", shard.shard));
        }
        if let Some(shard) = self.shards.iter().find(|shard| !shard.names_its_own_file()) {
            return Some(format!("names another file for shard {}", shard.shard));
        }
        let rows = self.shards.iter().try_fold(0u64, |sum, shard| sum.checked_add(shard.rows));
        (rows != Some(self.rows)).then(|| format!("says {} rows, which its shards do not add up to", self.rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_follows_the_latest_of_all_commits() {
        let commit = |shard, attempt| {
            (shard, Commit { shard: Shard::without_file(shard), job: String::new(), attempt, failures: Vec::new() })
        };
        assert_eq!(next_attempt(&BTreeMap::new()), 1);
        assert_eq!(next_attempt(&BTreeMap::from([commit(0, 2), commit(1, 3), commit(2, 1)])), 4);
    }
}
