//! What a folder holds when a job comes (back) to it.

use std::collections::BTreeMap;

use super::manifest::{COMMIT_FOLDER, Commit, DATA_FOLDER, JOB_FILE, MANIFEST_FILE, Manifest, commit_file};
use super::shard::{shard_file, shard_of_file};
use super::{Expected, FAILURES_FILE, manifest};
use crate::error::{DatasetError, Fault, Result};
use crate::failpoint;
use crate::folder::Folder;
use crate::job::JobId;
use crate::read::Part;
use crate::record;

/// Refuses a folder that is not this job's, before anything in it is touched; names the job in an empty one.
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

/// Removes what killed processes left and returns the commits that hold. Only files of our own forms are touched.
pub(super) fn recover(folder: &Folder, job: &str, expected: Expected) -> Result<BTreeMap<u64, Commit>> {
    ["", DATA_FOLDER, COMMIT_FOLDER].into_iter().try_for_each(|place| folder.sweep(place))?;
    let mut commits = BTreeMap::new();
    for name in folder.files(COMMIT_FOLDER)? {
        let Some(shard) = manifest::shard_of_commit(&name) else { continue };
        match commit_that_holds(folder, shard, job)? {
            Some(commit) if shard < expected.shards => drop(commits.insert(shard, commit)),
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

/// Finds out whether the commits are still those that this process knows, and their files there.
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

/// The commit of a shard, if it is this job's and its file is the one that it names: else the shard is done again.
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
        // A file that is not there or damaged is the user's matter; a disk that does not answer is no reason to delete.
        Err(error) if error.fault() == Fault::User => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_commit(folder: &Folder, shard: u64) -> Result<Option<Commit>> {
    let name = commit_file(shard);
    let content = folder.read(&name)?;
    content.map(|content| record::from_json(&folder.path().join(&name), &content)).transpose()
}

/// A manifest may only stand while it is this job's and all its shards stand.
fn manifest_agrees(folder: &Folder, job: &str, expected: Expected, commits: &BTreeMap<u64, Commit>) -> Result<bool> {
    let Some(content) = folder.read(MANIFEST_FILE)? else { return Ok(true) };
    let path = folder.path().join(MANIFEST_FILE);
    let manifest = record::from_json::<Manifest>(&path, &content).and_then(|manifest| manifest.checked(&path));
    let Ok(manifest) = manifest else { return Ok(false) };
    let shards = manifest.shards.iter().eq(commits.values().map(|commit| &commit.shard));
    let rows = manifest.rows.checked_add(manifest.failures);
    Ok(shards && manifest.fingerprint == job && rows == Some(expected.rows))
}

/// Takes back a commit; the job is then unfinished, whatever the manifest says.
fn uncommit(folder: &Folder, shard: u64) -> Result<()> {
    folder.remove(MANIFEST_FILE)?;
    folder.remove(&commit_file(shard))
}
