//! The output folder of a job: shards, commits, failures, manifest; each row exactly once.
//!
//! ```text
//! job.json              whose output this is (fingerprint of pipeline, data and seed)
//! data/shard-00000.parquet
//! commits/00000.json    exists if and only if shard 0 is complete; names its file, rows, hash and failed rows
//! failures.parquet      all failed rows, merged at the end
//! README.md             tells `datasets.load_dataset(FOLDER)` which files are data
//! manifest.json         written last: the job is finished, and these are its files
//! ```
//! Every file is written under a hidden temporary name, fsynced, renamed, and its folder fsynced, in the order above. A
//! process killed anywhere leaves temporary files and at most a shard without commit per writer; the next
//! [`OutputDir::open`] removes both, and only those shards are done again. One process writes to a folder at a time.

mod failures;
mod lock;
mod manifest;
mod recover;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use arrow::array::RecordBatch;

pub use failures::{Failure, failures_schema};
pub use manifest::{Commit, Manifest};
pub(crate) use manifest::{JOB_FILE, MANIFEST_FILE};

use crate::durable;
use crate::error::{DatasetError, Result};
use crate::failpoint;
use crate::feature::Features;
use crate::write::TableWriter;

/// File of failed rows inside an output folder.
pub const FAILURES_FILE: &str = "failures.parquet";

const CARD_FILE: &str = "README.md";
/// A dataset card: without it `datasets` would take the failures for data.
const CARD: &str = "---
configs:
- config_name: default
  data_files: data/*.parquet
---
Written by Anyflow. `failures.parquet` lists the rows that failed, `manifest.json` the files and their hashes.
";

/// What makes two runs the same job: they would write the same rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobId {
    /// Any text; callers hash plan, data, seed and shard size into it.
    pub fingerprint: String,
}

/// What a finished output must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Shards.
    pub shards: u64,
    /// Rows, failed ones among them.
    pub rows: u64,
}

/// A shard that is being written.
pub struct ShardWriter<'a> {
    output: &'a OutputDir,
    shard: u64,
    features: Features,
    writer: Option<TableWriter>,
}

impl ShardWriter<'_> {
    /// Appends rows.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.writer.is_none() {
            let name = manifest::shard_file(self.shard);
            self.writer = Some(TableWriter::create(&self.output.folder.join(&name), &batch.schema(), &self.features)?);
        }
        self.writer.as_mut().map_or(Ok(()), |writer| writer.write(batch))
    }

    /// Commits.
    pub fn commit(self, failures: &[Failure]) -> Result<()> {
        let mut commit = Commit::empty(self.shard, failures);
        if let Some(writer) = self.writer {
            commit.describe_file(manifest::shard_file(self.shard), writer.finish()?);
        }
        failpoint::reach("shard-renamed");
        let file = self.output.folder.join(manifest::commit_file(self.shard));
        durable::write_whole(&file, &manifest::json(&commit)?)?;
        failpoint::reach("committed");
        self.output.commits().insert(self.shard, commit);
        Ok(())
    }
}

/// An output folder opened for one job. Writers on several threads may share it.
#[derive(Debug)]
pub struct OutputDir {
    folder: PathBuf,
    job: JobId,
    commits: Mutex<BTreeMap<u64, Commit>>,
    /// Held until drop; the system frees it when the process dies.
    _lock: lock::FolderLock,
}

impl OutputDir {
    /// Creates the folder or takes up where the same job stopped: committed shards stay, leftovers go.
    ///
    /// # Errors
    /// [`DatasetError::OtherJob`] for another job's output, [`DatasetError::NotOurs`] for a folder with other data,
    /// [`DatasetError::Busy`] while another process writes to it, [`DatasetError::Io`].
    pub fn open(folder: &Path, job: &JobId) -> Result<OutputDir> {
        recover::claim(folder, job)?;
        let lock = lock::FolderLock::acquire(folder)?;
        recover::name_job(folder, job)?;
        let commits = recover::recover(folder)?;
        Ok(OutputDir { folder: folder.to_path_buf(), job: job.clone(), commits: Mutex::new(commits), _lock: lock })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// True if the shard is complete and must not be done again.
    pub fn committed(&self, shard: u64) -> bool {
        self.commits().contains_key(&shard)
    }

    /// Rows written and rows failed in committed shards.
    pub fn progress(&self) -> (u64, u64) {
        let commits = self.commits();
        let rows = commits.values().map(|commit| commit.rows).sum();
        (rows, commits.values().map(|commit| commit.failures.len() as u64).sum())
    }

    /// Writes a shard and commits it. Shards may come in any order.
    ///
    /// `batches` share one schema, whose metadata is kept; `features` say what the columns mean. With no batch at all
    /// (every row failed) the shard has no file.
    ///
    /// # Errors
    /// [`DatasetError::Io`]; [`DatasetError::Internal`] if the shard is committed already or batches differ in schema.
    pub fn write_shard(
        &self,
        shard: u64,
        batches: &[RecordBatch],
        features: &Features,
        failures: &[Failure],
    ) -> Result<()> {
        if self.committed(shard) {
            return Err(DatasetError::internal(format!("writing shard {shard}"), "it is committed already"));
        }
        let mut commit = Commit::empty(shard, failures);
        if let Some(first) = batches.first() {
            let name = manifest::shard_file(shard);
            let mut writer = TableWriter::create(&self.folder.join(&name), &first.schema(), features)?;
            batches.iter().try_for_each(|batch| writer.write(batch))?;
            commit.describe_file(name, writer.finish()?);
        }
        failpoint::reach("shard-renamed");
        durable::write_whole(&self.folder.join(manifest::commit_file(shard)), &manifest::json(&commit)?)?;
        failpoint::reach("committed");
        self.commits().insert(shard, commit);
        Ok(())
    }

    /// A writer of one shard, batch by batch.
    pub fn shard(&self, shard: u64, features: &Features) -> Result<ShardWriter<'_>> {
        if self.committed(shard) {
            return Err(DatasetError::internal(format!("writing shard {shard}"), "it is committed already"));
        }
        Ok(ShardWriter { output: self, shard, features: features.clone(), writer: None })
    }

    /// Puts the failures of committed shards on disk.
    pub fn write_failures(&self) -> Result<()> {
        let commits: Vec<Commit> = self.commits().values().cloned().collect();
        failures::write(&self.folder.join(FAILURES_FILE), &commits)
    }

    /// Merges the failures and writes the manifest; from then on the folder opens as a dataset. May be called again.
    ///
    /// # Errors
    /// [`DatasetError::Internal`] if a shard before the last one is missing, [`DatasetError::Io`].
    pub fn finish(&self, expected: &Expected) -> Result<Manifest> {
        let commits: Vec<Commit> = self.commits().values().cloned().collect();
        let rows: u64 = commits.iter().map(|commit| commit.rows + commit.failures.len() as u64).sum();
        if (commits.len() as u64, rows) != (expected.shards, expected.rows) {
            return Err(DatasetError::internal("finishing the output", "rows are missing"));
        }
        if let Some((expected, commit)) = (0..).zip(&commits).find(|(expected, commit)| commit.shard != *expected) {
            let reason = format!("shard {expected} is missing, shard {} is there", commit.shard);
            return Err(DatasetError::internal("finishing the output", reason));
        }
        failures::write(&self.folder.join(FAILURES_FILE), &commits)?;
        failpoint::reach("failures-written");
        let card = self.folder.join(CARD_FILE);
        if !card.exists() {
            durable::write_whole(&card, CARD.as_bytes())?;
        }
        let manifest = Manifest::new(&self.job.fingerprint, &commits);
        durable::write_whole(&self.folder.join(MANIFEST_FILE), &manifest::json(&manifest)?)?;
        failpoint::reach("finished");
        Ok(manifest)
    }

    fn commits(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Commit>> {
        // The map is consistent between any two statements, so a panicked writer does not spoil it.
        self.commits.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
