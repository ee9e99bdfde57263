//! Makes one output of the parts of a job.

use std::collections::BTreeMap;
use std::path::Path;

use super::manifest::{Commit, Manifest};
use super::names::{COMMIT_FOLDER, DATA_FOLDER, JOB_FILE, MANIFEST_FILE, commit_file, shard_of_commit, shard_of_file};
use super::part::{self, PART_FILE, PARTS_FOLDER, PartRecord};
use super::{FAILURES_FILE, OutputDir, recover};
use crate::error::{DatasetError, Result};
use crate::failpoint;
use crate::folder::Folder;
use crate::job::JobId;
use crate::record;

/// Files of other crates in a part.
const RECORDS: [&str; 3] = ["order.json", "run.json", "batch.json"];

/// The parts of a job, all locked, and its output folder.
pub struct Gathering {
    output: OutputDir,
    parts: Vec<JobPart>,
    license: Option<String>,
}

/// A part of a job.
struct JobPart {
    folder: Folder,
    /// Missing if the part is not complete.
    record: Option<PartRecord>,
}

/// Opens the output folder of a job with its parts. A finished job may be opened again.
///
/// # Errors
/// [`DatasetError::Incomplete`] without a complete part, [`DatasetError::Busy`] while one is written,
/// [`DatasetError::OtherJob`] if parts are of different jobs; errors of [`OutputDir::open`].
pub fn gather(path: &Path) -> Result<Gathering> {
    if !path.is_dir() {
        return Err(DatasetError::Missing { path: path.to_path_buf() });
    }
    let folder = Folder::open(path)?;
    let parts = part::folders(path)?.iter().map(|path| JobPart::open(path)).collect::<Result<Vec<_>>>()?;
    let job = one_job(&folder, &parts)?;
    let record = parts.iter().find_map(|part| part.record.clone());
    let Some(record) = record.or_else(|| Manifest::read(path).ok().map(PartRecord::of)) else {
        let reason = match parts.is_empty() {
            true => "it has no parts; `anyflow run --shards I/N` writes them",
            false => "none of its parts is complete; start each again with the same command",
        };
        return Err(DatasetError::Incomplete { path: path.to_path_buf(), reason: reason.into() });
    };
    let output = OutputDir::open(folder, &job, record.job)?;
    Ok(Gathering { output, parts, license: record.license })
}

/// The job of an output folder and its parts. A part that was killed at once has no record of its job.
fn one_job(folder: &Folder, parts: &[JobPart]) -> Result<JobId> {
    let mut job = JobId::read(folder, JOB_FILE)?;
    for part in parts {
        match (&job, JobId::read(&part.folder, JOB_FILE)?) {
            (Some(job), Some(other)) if job.fingerprint() != other.fingerprint() => {
                let path = part.folder.path().to_path_buf();
                return Err(DatasetError::OtherJob { path, differences: job.differences(&other) });
            }
            (None, found) => job = found,
            _ => {}
        }
    }
    Ok(job.unwrap_or_default())
}

impl JobPart {
    fn open(path: &Path) -> Result<JobPart> {
        let folder = Folder::open(path)?;
        let record = folder.read(PART_FILE)?;
        let record = record.map(|content| PartRecord::parse(&path.join(PART_FILE), &content)).transpose()?;
        Ok(JobPart { folder, record })
    }
}

impl Gathering {
    /// The output.
    pub fn output(&self) -> &OutputDir {
        &self.output
    }

    /// A file of the first part that is complete; `None` if it has none of this name.
    ///
    /// # Errors
    /// As [`Folder::read`].
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let complete = self.parts.iter().find(|part| part.record.is_some());
        complete.map_or(Ok(None), |part| part.folder.read(name))
    }

    /// Takes the shards of all parts over. A shard that is there already stays.
    ///
    /// # Errors
    /// [`DatasetError::Incomplete`] with the shards and parts that are missing; [`DatasetError::Io`].
    pub fn take(&self) -> Result<()> {
        let inner = &*self.output.0;
        for part in &self.parts {
            let found = recover::recover(&part.folder, &inner.fingerprint, inner.expected)?;
            for (shard, commit) in found {
                if !self.output.committed(shard) {
                    self.output.take(&part.folder, commit)?;
                }
            }
        }
        self.output.add_up().map_err(|error| match error {
            DatasetError::Incomplete { path, reason } => {
                DatasetError::Incomplete { path, reason: format!("{reason}{}", self.incomplete_parts()) }
            }
            other => other,
        })
    }

    /// Writes the manifest, and removes the parts.
    ///
    /// # Errors
    /// Errors of [`OutputDir::finish`].
    pub fn finish(self) -> Result<Manifest> {
        let manifest = self.output.finish_under(self.license.as_deref())?;
        for part in self.parts {
            discard(part.folder)?;
        }
        // Files of others keep the folder.
        let _ = std::fs::remove_dir(self.output.path().join(PARTS_FOLDER));
        Ok(manifest)
    }

    fn incomplete_parts(&self) -> String {
        let parts = self.parts.iter().filter(|part| part.record.is_none());
        let names: Vec<String> =
            parts.filter_map(|part| Some(part.folder.path().file_name()?.to_string_lossy().into())).collect();
        if names.is_empty() { String::new() } else { format!("; parts that are not complete: {}", names.join(", ")) }
    }
}

impl OutputDir {
    /// Commits a shard of another folder here.
    fn take(&self, from: &Folder, commit: Commit) -> Result<()> {
        let inner = &*self.0;
        if let Some(file) = &commit.shard.file {
            inner.folder.take(from, file)?;
        }
        failpoint::reach("shard-taken");
        inner.folder.write(&commit_file(commit.shard.shard), &record::to_json(&commit)?)?;
        failpoint::reach("committed");
        self.commits().insert(commit.shard.shard, commit);
        Ok(())
    }
}

/// Removes our files of a part, and its folder unless others have files there.
fn discard(folder: Folder) -> Result<()> {
    folder.remove(PART_FILE)?;
    folder.clear(COMMIT_FOLDER, |name| shard_of_commit(name).is_some())?;
    folder.clear(DATA_FOLDER, |name| shard_of_file(name).is_some())?;
    let ours = [JOB_FILE, FAILURES_FILE];
    folder.clear("", |name| ours.contains(&name) || RECORDS.contains(&name))?;
    let path = folder.path().to_path_buf();
    drop(folder);
    let _ = std::fs::remove_dir(path);
    Ok(())
}

/// The state of a job, or of one of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartProgress {
    /// Name of the part; empty for the output folder itself.
    pub name: String,
    /// The process that writes to it, as a phrase.
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
}

/// The state of a job and of its parts. Reads the commits only, and takes no lock.
///
/// # Errors
/// [`DatasetError::Missing`] for a folder without a job; [`DatasetError::Io`].
pub fn job_progress(path: &Path) -> Result<Vec<PartProgress>> {
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
    let mut found =
        PartProgress { name, holder, is_complete, shards: 0, rows: 0, failed: BTreeMap::new(), attempts: 0 };
    let commits = match std::fs::read_dir(path.join(COMMIT_FOLDER)) {
        Ok(entries) => entries,
        Err(_) => return Ok(found),
    };
    let named = commits.flatten().filter(|entry| shard_of_commit(&entry.file_name().to_string_lossy()).is_some());
    for entry in named {
        let Some(commit) = record::read::<Commit>(&entry.path())? else { continue };
        found.shards += 1;
        found.rows += commit.shard.rows;
        found.attempts = found.attempts.max(commit.attempt);
        commit.failures.iter().for_each(|failure| *found.failed.entry(failure.code.clone()).or_default() += 1);
    }
    Ok(found)
}
