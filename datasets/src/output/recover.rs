//! What a folder holds when a job comes (back) to it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::manifest::{COMMIT_FOLDER, Commit, DATA_FOLDER, FORMAT, JOB_FILE, Job, MANIFEST_FILE, Manifest};
use super::manifest::{check_format, json, read_json};
use super::{FAILURES_FILE, JobId};
use crate::durable;
use crate::error::{DatasetError, Result, io_error};
use crate::failpoint;

/// Refuses a folder that is not this job's, before anything in it is touched; creates it if need be.
pub(super) fn claim(folder: &Path, job: &JobId) -> Result<()> {
    durable::create_folder(folder)?;
    let path = folder.join(JOB_FILE);
    if !path.exists() {
        return refuse_foreign(folder);
    }
    let found: Job = read_json(&path)?;
    check_format(&path, found.format)?;
    if found.fingerprint == job.fingerprint {
        return Ok(());
    }
    let (expected, found) = (job.fingerprint.clone(), found.fingerprint);
    Err(DatasetError::OtherJob { path: folder.to_path_buf(), expected, found })
}

/// Writes `job.json` (again is harmless) and makes the sub-folders.
pub(super) fn name_job(folder: &Path, job: &JobId) -> Result<()> {
    // Under the lock the folder may have been claimed by a faster process.
    claim(folder, job)?;
    let path = folder.join(JOB_FILE);
    if !path.exists() {
        let content = Job { format: FORMAT, fingerprint: job.fingerprint.clone() };
        durable::write_whole(&path, &json(&content)?)?;
        failpoint::reach("job-named");
    }
    for name in [DATA_FOLDER, COMMIT_FOLDER] {
        durable::create_folder(&folder.join(name))?;
    }
    Ok(())
}

/// Removes what killed processes left and returns the commits that hold.
pub(super) fn recover(folder: &Path) -> Result<BTreeMap<u64, Commit>> {
    for path in [folder.to_path_buf(), folder.join(DATA_FOLDER), folder.join(COMMIT_FOLDER)] {
        files(&path)?.iter().filter(|path| durable::is_temporary(path)).try_for_each(|path| durable::remove(path))?;
    }
    let commits = commits_that_hold(folder)?;
    if !manifest_agrees(folder, &commits) {
        durable::remove(&folder.join(MANIFEST_FILE))?;
    }
    let listed: BTreeSet<PathBuf> = commits.values().filter_map(|c| c.file.as_ref()).map(|f| folder.join(f)).collect();
    for path in files(&folder.join(DATA_FOLDER))?.iter().filter(|path| !listed.contains(*path)) {
        durable::remove(path)?;
    }
    Ok(commits)
}

/// Commits whose shard someone deleted or cut are taken back: those shards are done again.
fn commits_that_hold(folder: &Path) -> Result<BTreeMap<u64, Commit>> {
    let mut commits = BTreeMap::new();
    for path in files(&folder.join(COMMIT_FOLDER))? {
        match read_json::<Commit>(&path) {
            Ok(commit) if commit.holds(folder) => drop(commits.insert(commit.shard, commit)),
            Ok(_) | Err(DatasetError::Record { .. }) => uncommit(folder, &path)?,
            Err(other) => return Err(other),
        }
    }
    Ok(commits)
}

/// A manifest may only stand while all its shards do.
fn manifest_agrees(folder: &Path, commits: &BTreeMap<u64, Commit>) -> bool {
    let same = |(listed, commit): (&Commit, &Commit)| (listed.shard, &listed.blake3) == (commit.shard, &commit.blake3);
    Manifest::read(folder).is_ok_and(|manifest| {
        manifest.shards.len() == commits.len() && manifest.shards.iter().zip(commits.values()).all(same)
    })
}

/// Takes back a commit; the job is then unfinished, whatever the manifest says.
fn uncommit(folder: &Path, commit: &Path) -> Result<()> {
    durable::remove(&folder.join(MANIFEST_FILE))?;
    durable::remove(commit)
}

fn refuse_foreign(folder: &Path) -> Result<()> {
    let reserved = [DATA_FOLDER, COMMIT_FOLDER, MANIFEST_FILE, FAILURES_FILE];
    let ours = reserved.iter().map(|name| folder.join(name)).find(|path| path.exists());
    let tables = files(folder)?.into_iter().find(|path| path.extension().is_some_and(|e| e == "parquet"));
    match ours.or(tables.filter(|path| !durable::is_temporary(path))) {
        Some(path) => {
            let found = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Err(DatasetError::NotOurs { path: folder.to_path_buf(), found })
        }
        None => Ok(()),
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io_error(folder, "list"))? {
        let path = entry.map_err(io_error(folder, "list"))?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
