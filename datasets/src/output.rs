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

mod attempts;
mod committed;
mod failures;
mod gather;
mod gc;
mod manifest;
mod mark;
mod names;
mod part;
mod progress;
mod recover;
mod shard;
mod staging;
mod stored;
mod verify;
mod writer;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use attempts::ShardAttempts;
pub use committed::{committed_shards, is_committed};
pub use failures::{Failure, failures_schema};
pub use gather::{Gathering, gather};
pub use gc::{Orphan, remove_orphans};
pub use manifest::{Commit, FileHash, Manifest};
pub(crate) use mark::{MARK_KEY, Mark};
pub use names::MANIFEST_FILE;
pub(crate) use names::{COMMIT_FOLDER, DATA_FOLDER, JOB_FILE};
pub use part::{PART_FILE, PARTS_FOLDER};
pub use progress::PartProgress;
pub use shard::Shard;
pub(crate) use shard::short;
use staging::Staging;
use stored::Stored;
pub use stored::StoredPart;
pub use verify::{Damage, Verification};
pub use writer::ShardWriter;

use serde::{Deserialize, Serialize};

use crate::error::{DatasetError, Result};
use crate::failpoint;
use crate::feature::Features;
use crate::folder::Folder;
use crate::job::JobId;
use crate::record;
use crate::store::is_address;

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
    /// The output, if it is not in the folder, where the shards in progress are then.
    store: Option<Stored>,
    _staging: Option<Staging>,
}

/// The state of a job and of its parts: of the whole job first. Reads the commits only, and takes no lock.
///
/// # Errors
/// [`DatasetError::Missing`] for a folder without a job; the disk or the store.
pub fn job_progress(path: &Path) -> Result<Vec<PartProgress>> {
    if is_address(path) { stored::progress(path) } else { progress::on_disk(path) }
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
        let attempt = manifest::next_attempt(&commits);
        let commits = Mutex::new(commits);
        let (store, _staging) = Default::default();
        Ok(OutputDir(Arc::new(Inner { folder, fingerprint, expected, attempt, commits, store, _staging })))
    }

    /// Resumes or begins the job at an address of a store, or a part of it: the shards that are committed stay, whoever
    /// wrote them. Any number of processes may write to one job.
    ///
    /// # Errors
    /// As [`OutputDir::open`]; [`DatasetError::NoConditionalPut`] for a store without conditional puts,
    /// [`DatasetError::Address`], [`DatasetError::Store`], [`DatasetError::Denied`].
    pub fn in_store(path: &Path, job: &JobId, expected: Expected, part: Option<StoredPart>) -> Result<OutputDir> {
        let store = Stored::claim(path, job, part)?;
        let fingerprint = job.fingerprint();
        let commits = store.recover(&fingerprint, expected)?;
        store.write_part(expected, None, false)?;
        let staging = Staging::new()?;
        let folder = Folder::open(staging.path())?;
        folder.make_folder(DATA_FOLDER)?;
        let attempt = manifest::next_attempt(&commits);
        let commits = Mutex::new(commits);
        let (store, _staging) = (Some(store), Some(staging));
        Ok(OutputDir(Arc::new(Inner { folder, fingerprint, expected, attempt, commits, store, _staging })))
    }

    /// The path of the folder, or the address.
    pub fn path(&self) -> &Path {
        self.0.store.as_ref().map_or_else(|| self.0.folder.path(), Stored::path)
    }

    /// The content of a record of the job; `None` if there is none of this name.
    ///
    /// # Errors
    /// The disk or the store.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        match &self.0.store {
            None => self.0.folder.read(name),
            Some(store) => store.read(name),
        }
    }

    /// Writes a record of the job.
    ///
    /// # Errors
    /// The disk or the store.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        match &self.0.store {
            None => self.0.folder.write(name, content),
            Some(store) => store.write(name, content),
        }
    }

    /// True if the shard is complete and must not be written again.
    pub fn committed(&self, shard: u64) -> bool {
        self.commits().contains_key(&shard)
    }

    /// Rows written and rows failed in a shard; none if it is not committed.
    pub fn shard_rows(&self, shard: u64) -> (u64, u64) {
        self.commits().get(&shard).map_or((0, 0), |commit| (commit.shard.rows, commit.failures.len() as u64))
    }

    /// True for a shard of the part that this process does.
    fn is_ours(&self, shard: u64) -> bool {
        self.0.store.as_ref().is_none_or(|store| store.has_shard(shard))
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
        if let Some(store) = &self.0.store {
            store.take_file(&self.0.folder, FAILURES_FILE)?;
        }
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
        self.unchanged()?;
        self.add_up()?;
        let failures_file = self.write_failures()?;
        if self.read(CARD_FILE)?.is_none() {
            self.write(CARD_FILE, CARD.as_bytes())?;
        }
        failpoint::reach("card-written");
        let manifest = Manifest {
            license: license.map(str::to_string),
            ..Manifest::new(&inner.fingerprint, self.commits().values(), failures_file)
        };
        match &inner.store {
            None => inner.folder.write(MANIFEST_FILE, &record::to_json(&manifest)?)?,
            Some(store) => store.finish(&manifest)?,
        }
        failpoint::reach("finished");
        Ok(manifest)
    }

    /// Checks that the commits that this process knows are there. In a store, takes those of other processes over.
    fn unchanged(&self) -> Result<()> {
        let inner = &*self.0;
        let mut commits = self.commits();
        match &inner.store {
            None => recover::unchanged(&inner.folder, &commits),
            Some(store) => store.refresh(&inner.fingerprint, inner.expected, &mut commits),
        }
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
