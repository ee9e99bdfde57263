//! Makes one output of the parts of a job.

use std::path::Path;

use super::manifest::{Commit, Manifest};
use super::names::{
    ATTEMPT_FOLDER, COMMIT_FOLDER, DATA_FOLDER, JOB_FILE, commit_file, shard_of_attempt, shard_of_commit, shard_of_file,
};
use super::part::{self, PART_FILE, PARTS_FOLDER, PartRecord};
use super::stored::Stored;
use super::{FAILURES_FILE, OutputDir, recover};
use crate::error::{DatasetError, Result};
use crate::failpoint;
use crate::folder::Folder;
use crate::job::JobId;
use crate::record;
use crate::store::is_address;

const NO_PARTS: &str = "it has no parts; `anyflow run --shards I/N` writes them";
/// Files of other crates in a part.
const RECORDS: [&str; 3] = ["order.json", "run.json", "batch.json"];

/// The parts of a job, all locked, and its output folder.
pub struct Gathering {
    output: OutputDir,
    parts: Vec<JobPart>,
    license: Option<String>,
    /// Parts that are not complete.
    incomplete: Vec<String>,
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
    if is_address(path) {
        return gather_stored(path);
    }
    if !path.is_dir() {
        return Err(DatasetError::Missing { path: path.to_path_buf() });
    }
    let folder = Folder::open(path)?;
    let parts = part::folders(path)?.iter().map(|path| JobPart::open(path)).collect::<Result<Vec<_>>>()?;
    let job = one_job(&folder, &parts)?;
    let record = parts.iter().find_map(|part| part.record.clone());
    let Some(record) = record.or_else(|| Manifest::read(path).ok().map(PartRecord::of)) else {
        let reason = match parts.is_empty() {
            true => NO_PARTS,
            false => "none of its parts is complete; start each again with the same command",
        };
        return Err(DatasetError::Incomplete { path: path.to_path_buf(), reason: reason.into() });
    };
    let output = OutputDir::open(folder, &job, record.job)?;
    let is_incomplete = |part: &&JobPart| part.record.is_none();
    let name = |part: &JobPart| Some(part.folder.path().file_name()?.to_string_lossy().into_owned());
    let incomplete = parts.iter().filter(is_incomplete).filter_map(name).collect();
    Ok(Gathering { output, parts, license: record.license, incomplete })
}

/// Opens the output of a job in a store, where all parts write to one place.
fn gather_stored(path: &Path) -> Result<Gathering> {
    let stored = Stored::at(path)?;
    let job = stored.read(JOB_FILE)?.ok_or_else(|| DatasetError::Missing { path: path.join(JOB_FILE) })?;
    let job = JobId::parse(&path.join(JOB_FILE), &job)?;
    let parts = stored.parts()?;
    let incomplete = parts.iter().filter(|(_, part)| !part.is_complete).map(|(name, _)| name.clone()).collect();
    let license = parts.values().find_map(|part| part.license.clone());
    let expected = parts.values().next().map(|part| part.job);
    let expected = expected.or_else(|| Some(PartRecord::of(Manifest::read(path).ok()?).job));
    let expected =
        expected.ok_or_else(|| DatasetError::Incomplete { path: path.to_path_buf(), reason: NO_PARTS.into() })?;
    let output = OutputDir::in_store(path, &job, expected, None)?;
    Ok(Gathering { output, parts: Vec::new(), license, incomplete })
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

    /// A file of the first part that is complete, in a store of the output; `None` if there is none of this name.
    ///
    /// # Errors
    /// As [`Folder::read`].
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        if is_address(self.output.path()) {
            return self.output.read(name);
        }
        let complete = self.parts.iter().find(|part| part.record.is_some());
        complete.map_or(Ok(None), |part| part.folder.read(name))
    }

    /// As [`Gathering::read`], the file of each part that is complete.
    ///
    /// # Errors
    /// As [`Folder::read`].
    pub fn read_all(&self, name: &str) -> Result<Vec<Vec<u8>>> {
        if is_address(self.output.path()) {
            return Ok(self.output.read(name)?.into_iter().collect());
        }
        let complete = self.parts.iter().filter(|part| part.record.is_some());
        complete.filter_map(|part| part.folder.read(name).transpose()).collect()
    }

    /// Takes the shards of all parts over. A shard that is there already stays.
    ///
    /// # Errors
    /// [`DatasetError::Incomplete`] with the shards and parts that are missing; [`DatasetError::Io`].
    pub fn take(&self) -> Result<()> {
        let inner = &*self.output.0;
        if inner.store.is_some() {
            // All parts wrote to one place.
            self.output.unchanged()?;
        }
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
        match self.incomplete.as_slice() {
            [] => String::new(),
            names => format!("; parts that are not complete: {}", names.join(", ")),
        }
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
    folder.clear(ATTEMPT_FOLDER, |name| shard_of_attempt(name).is_some())?;
    folder.clear(DATA_FOLDER, |name| shard_of_file(name).is_some())?;
    let ours = [JOB_FILE, FAILURES_FILE];
    folder.clear("", |name| ours.contains(&name) || RECORDS.contains(&name))?;
    let path = folder.path().to_path_buf();
    drop(folder);
    let _ = std::fs::remove_dir(path);
    Ok(())
}
