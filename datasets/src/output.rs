//! The output folder of a job: shards, commits, failures, manifest; each row exactly once.
//!
//! ```text
//! job.json              the parts of the job that owns this output
//! data/shard-00000.parquet
//! commits/00000.json    exists if and only if shard 0 is complete; names its job, file, rows, hash and failed rows
//! failures.parquet      all failed rows, merged at the end
//! README.md             names the data files for `datasets.load_dataset(FOLDER)`
//! manifest.json         written last: proof that the job is finished, and the list of its files
//! ```
//! Several processes share a job in [parts](PARTS_FOLDER), which [`gather`] puts together. Every file is written under a hidden temporary name, fsynced, renamed, and its folder fsynced, in the order above. A
//! process killed anywhere leaves temporary files and at most a shard without commit per writer; the next
//! [`OutputDir::open`] removes both, and only those shards are done again. One process writes to a folder at a time.

mod failures;
mod gather;
mod manifest;
mod mark;
mod names;
mod part;
mod recover;
mod shard;
mod verify;
mod writer;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use failures::{Failure, failures_schema};
pub use gather::{Gathering, PartProgress, gather, job_progress};
pub use manifest::{Commit, FileHash, Manifest};
pub(crate) use mark::{MARK_KEY, Mark};
pub use names::MANIFEST_FILE;
pub(crate) use names::{COMMIT_FOLDER, DATA_FOLDER, JOB_FILE};
pub use part::{PART_FILE, PARTS_FOLDER};
pub use shard::Shard;
pub(crate) use shard::short;
pub use verify::{Damage, Verification};
pub use writer::ShardWriter;

use serde::{Deserialize, Serialize};

use crate::error::{DatasetError, Result};
use crate::failpoint;
use crate::feature::Features;
use crate::folder::Folder;
use crate::job::JobId;
use crate::record;

/// File of failed rows inside an output folder.
pub const FAILURES_FILE: &str = "failures.parquet";

const CARD_FILE: &str = "README.md";
/// A dataset card. Without it, `datasets` would take the failures for data.
const CARD: &str = "---
configs:
- config_name: default
  data_files: data/*.parquet
---
Written by Anyflow. `failures.parquet` lists the rows that failed, `manifest.json` the files and their hashes.
";

/// The size of a finished output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Number of shards.
    pub shards: u64,
    /// Rows of the input: each is in a shard or among the failures.
    pub rows: u64,
}

/// An output folder opened for one job. Writers on several threads may share it.
#[derive(Clone, Debug)]
pub struct OutputDir(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: Folder,
    fingerprint: String,
    expected: Expected,
    attempt: u64,
    commits: Mutex<BTreeMap<u64, Commit>>,
}

impl OutputDir {
    /// Resumes or begins the job: keeps committed shards, removes leftovers.
    ///
    /// # Errors
    /// [`DatasetError::OtherJob`] for another job's output, [`DatasetError::OtherFormat`] for one of another version,
    /// [`DatasetError::NotOurs`] for a folder with other data, [`DatasetError::Linked`] for a link in place of `data`
    /// or `commits`, [`DatasetError::Io`].
    pub fn open(folder: Folder, job: &JobId, expected: Expected) -> Result<OutputDir> {
        recover::claim(&folder, job)?;
        let fingerprint = job.fingerprint();
        let commits = recover::recover(&folder, &fingerprint, expected)?;
        folder.remove(PART_FILE)?;
        let attempt = 1 + commits.values().map(|commit| commit.attempt).max().unwrap_or(0);
        let commits = Mutex::new(commits);
        Ok(OutputDir(Arc::new(Inner { folder, fingerprint, expected, attempt, commits })))
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        self.0.folder.path()
    }

    /// The folder, for other files of the job.
    pub fn folder(&self) -> &Folder {
        &self.0.folder
    }

    /// True if the shard is complete and must not be written again.
    pub fn committed(&self, shard: u64) -> bool {
        self.commits().contains_key(&shard)
    }

    /// Rows written and rows failed in committed shards.
    pub fn progress(&self) -> (u64, u64) {
        let commits = self.commits();
        let rows = commits.values().map(|commit| commit.shard.rows).sum();
        (rows, commits.values().map(|commit| commit.failures.len() as u64).sum())
    }

    /// Starts a shard, which receives its batches one by one. Shards may be written in any order.
    ///
    /// # Errors
    /// [`DatasetError::Internal`] if the shard is committed already or beyond the end.
    pub fn shard(&self, shard: u64, features: &Features) -> Result<ShardWriter> {
        if self.committed(shard) {
            return Err(DatasetError::internal(format!("writing shard {shard}"), "it is committed already"));
        }
        if shard >= self.0.expected.shards {
            let reason = format!("the job has {} shards", self.0.expected.shards);
            return Err(DatasetError::internal(format!("writing shard {shard}"), reason));
        }
        Ok(ShardWriter::new(self.clone(), shard, features.clone()))
    }

    /// Writes the failures of all committed shards to `failures.parquet`, so that a message can refer to it.
    ///
    /// # Errors
    /// [`DatasetError::Io`].
    pub fn write_failures(&self) -> Result<FileHash> {
        let commits = self.commits();
        let written = failures::write(&self.0.folder, commits.values().map(|commit| commit.failures.as_slice()))?;
        drop(commits);
        failpoint::reach("failures-written");
        Ok(written.into())
    }

    /// Merges the failures and writes the manifest. The folder then opens as a dataset. May be called again.
    ///
    /// # Errors
    /// [`DatasetError::Incomplete`] if the commits do not add up to the expected size, [`DatasetError::Lost`] if
    /// another process changed them meanwhile, [`DatasetError::Io`].
    pub fn finish(&self) -> Result<Manifest> {
        self.finish_under(None)
    }

    /// As [`OutputDir::finish`], with the license of the weights that made the rows.
    ///
    /// # Errors
    /// See [`OutputDir::finish`].
    pub fn finish_under(&self, license: Option<&str>) -> Result<Manifest> {
        let inner = &*self.0;
        recover::unchanged(&inner.folder, &self.commits())?;
        self.add_up()?;
        let failures_file = self.write_failures()?;
        if inner.folder.read(CARD_FILE)?.is_none() {
            inner.folder.write(CARD_FILE, CARD.as_bytes())?;
        }
        failpoint::reach("card-written");
        let manifest = Manifest {
            license: license.map(str::to_string),
            ..Manifest::new(&inner.fingerprint, self.commits().values(), failures_file)
        };
        inner.folder.write(MANIFEST_FILE, &record::to_json(&manifest)?)?;
        failpoint::reach("finished");
        Ok(manifest)
    }

    /// Compares the commits with the expected size.
    fn add_up(&self) -> Result<()> {
        let expected = self.0.expected;
        let commits = self.commits();
        let missing: Vec<u64> = (0..expected.shards).filter(|shard| !commits.contains_key(shard)).take(9).collect();
        drop(commits);
        let (rows, failed) = self.progress();
        let reason = match missing.as_slice() {
            [] if rows.checked_add(failed) == Some(expected.rows) => return Ok(()),
            [] => format!("{rows} rows are written and {failed} failed, but the input has {} rows", expected.rows),
            missing => {
                let names: Vec<String> = missing.iter().take(8).map(ToString::to_string).collect();
                let more = if missing.len() > names.len() { ", ..." } else { "" };
                format!("of {} shards these are missing: {}{more}", expected.shards, names.join(", "))
            }
        };
        Err(DatasetError::Incomplete { path: self.path().to_path_buf(), reason })
    }

    fn commits(&self) -> MutexGuard<'_, BTreeMap<u64, Commit>> {
        // The map is consistent between any two statements, so a panicked writer does not spoil it.
        self.0.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
