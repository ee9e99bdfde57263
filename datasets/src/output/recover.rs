//! Inspects and cleans the folder when a job begins or resumes.

use std::collections::BTreeMap;

use super::manifest::{Commit, Manifest};
use super::names::{
    COMMIT_FOLDER, DATA_FOLDER, JOB_FILE, MANIFEST_FILE, WRITTEN_FOLDERS, commit_file, shard_file, shard_of_commit,
    shard_of_file,
};
use super::{Expected, FAILURES_FILE};
use crate::error::{DatasetError, Fault, Result};
use crate::failpoint;
use crate::folder::Folder;
use crate::job::JobId;
use crate::read::Part;
use crate::record;

/// Refuses another job's folder before touching anything in it. Writes the job's record to an empty folder.
pub(super) fn claim(folder: &Folder, job: &JobId) -> Result<()> {
    if !job.is_of(folder, JOB_FILE)? {
        refuse_foreign(folder)?;
        job.write(folder, JOB_FILE)?;
        failpoint::reach("job-named");
    }
    [DATA_FOLDER, COMMIT_FOLDER].into_iter().try_for_each(|name| folder.make_folder(name))
}

fn refuse_foreign(folder: &Folder) -> Result<()> {
    for name in [DATA_FOLDER, COMMIT_FOLDER, MANIFEST_FILE, FAILURES_FILE] {
        if folder.has(name)? {
            return Err(DatasetError::NotOurs { path: folder.path().to_path_buf(), found: name.into() });
        }
    }
    let visible_table = |name: &String| name.ends_with(".parquet") && !name.starts_with('.');
    match folder.files("")?.into_iter().find(visible_table) {
        Some(found) => Err(DatasetError::NotOurs { path: folder.path().to_path_buf(), found }),
        None => Ok(()),
    }
}

/// Removes leftovers of killed processes, and returns the valid commits. Touches only files with our own names.
pub(super) fn recover(folder: &Folder, job: &str, expected: Expected) -> Result<BTreeMap<u64, Commit>> {
    WRITTEN_FOLDERS.into_iter().try_for_each(|place| folder.sweep(place))?;
    let mut commits = BTreeMap::new();
    for name in folder.files(COMMIT_FOLDER)? {
        let Some(shard) = shard_of_commit(&name) else { continue };
        match commit_that_holds(folder, shard, job)? {
            Some(commit) if shard < expected.shards => {
                commits.insert(shard, commit);
            }
            _ => uncommit(folder, shard)?,
        }
    }
    if !manifest_agrees(folder, job, expected, &commits)? {
        folder.remove(MANIFEST_FILE)?;
    }
    let unlisted = |shard: &u64| commits.get(shard).is_none_or(|commit| commit.shard.file.is_none());
    let shards: Vec<u64> = folder.files(DATA_FOLDER)?.iter().filter_map(|name| shard_of_file(name)).collect();
    shards.into_iter().filter(unlisted).try_for_each(|shard| folder.remove(&shard_file(shard)))?;
    Ok(commits)
}

/// Checks that the commits are those that this process knows, and that their files exist.
pub(super) fn unchanged(folder: &Folder, commits: &BTreeMap<u64, Commit>) -> Result<()> {
    folder.check()?;
    for (shard, known) in commits {
        if read_commit(folder, *shard)?.as_ref() != Some(known) {
            return Err(DatasetError::Lost { path: folder.path().to_path_buf() });
        }
        let Some(file) = &known.shard.file else { continue };
        if folder.length(file)? != Some(known.shard.size_bytes) {
            return Err(DatasetError::Lost { path: folder.path().to_path_buf() });
        }
    }
    Ok(())
}

/// The commit of a shard, if it belongs to this job and matches its file. Otherwise the shard is written again.
fn commit_that_holds(folder: &Folder, shard: u64, job: &str) -> Result<Option<Commit>> {
    let commit = match read_commit(folder, shard) {
        Ok(commit) => commit,
        Err(DatasetError::Record { .. }) => None,
        Err(other) => return Err(other),
    };
    let ours = |commit: &Commit| commit.job == job && commit.shard.shard == shard && commit.shard.names_its_own_file();
    let Some(commit) = commit.filter(ours) else { return Ok(None) };
    let Some(file) = &commit.shard.file else { return Ok(Some(commit)) };
    match Part::open(&folder.path().join(file), 0) {
        Ok(part) => Ok(commit.shard.disagreement(job, &part).is_none().then_some(commit)),
        // A missing or damaged file invalidates the commit. A disk that does not respond is not a reason to delete.
        Err(error) if error.fault() == Fault::User => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_commit(folder: &Folder, shard: u64) -> Result<Option<Commit>> {
    let name = commit_file(shard);
    let content = folder.read(&name)?;
    content.map(|content| record::from_json(&folder.path().join(&name), &content)).transpose()
}

/// True if the manifest belongs to this job and all its shards are committed. Otherwise it must be removed.
fn manifest_agrees(folder: &Folder, job: &str, expected: Expected, commits: &BTreeMap<u64, Commit>) -> Result<bool> {
    let Some(content) = folder.read(MANIFEST_FILE)? else { return Ok(true) };
    let path = folder.path().join(MANIFEST_FILE);
    let manifest = record::from_json::<Manifest>(&path, &content).and_then(|manifest| manifest.checked(&path));
    Ok(manifest.is_ok_and(|manifest| manifest.is_of(job, expected, commits)))
}

/// Removes a commit and the manifest: the job is then unfinished.
fn uncommit(folder: &Folder, shard: u64) -> Result<()> {
    folder.remove(MANIFEST_FILE)?;
    folder.remove(&commit_file(shard))
}
