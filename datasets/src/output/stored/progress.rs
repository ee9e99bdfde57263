//! How far a job in a store is.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::attempts::ShardAttempts;
use super::super::manifest::Commit;
use super::super::names::{
    ATTEMPT_FOLDER, COMMIT_FOLDER, JOB_FILE, MANIFEST_FILE, attempt_file, commit_file, shard_of_attempt,
    shard_of_commit,
};
use super::super::progress::PartProgress;
use super::Stored;
use crate::error::{DatasetError, Result};
use crate::record;

/// The state of the job at an address, and of its parts: of the whole job first. Asks for the commits only.
pub(in super::super) fn progress(path: &Path) -> Result<Vec<PartProgress>> {
    let stored = Stored::at(path)?;
    let is_there = |name: &str| Ok::<_, DatasetError>(stored.address.join(name).version()?.is_some());
    if !is_there(JOB_FILE)? {
        return Err(DatasetError::Missing { path: path.join(JOB_FILE) });
    }
    let listed = stored.address.join(COMMIT_FOLDER).list()?;
    let shards: Vec<u64> = listed.iter().filter_map(|object| shard_of_commit(&object.name)).collect();
    let names: Vec<String> = shards.iter().map(|shard| commit_file(*shard)).collect();
    let mut commits = BTreeMap::new();
    for ((shard, name), content) in shards.into_iter().zip(&names).zip(stored.address.read_all(&names)?) {
        if let Some(content) = content {
            commits.insert(shard, record::from_json::<Commit>(&path.join(name), &content)?);
        }
    }
    let tried: Vec<u64> = stored.names(ATTEMPT_FOLDER)?.iter().filter_map(|name| shard_of_attempt(name)).collect();
    let mut tries = BTreeMap::new();
    for shard in tried.into_iter().filter(|shard| !commits.contains_key(shard)) {
        if let Some(found) = record::read::<ShardAttempts>(&path.join(attempt_file(shard)))? {
            tries.insert(shard, found);
        }
    }
    let mut whole = PartProgress { is_complete: is_there(MANIFEST_FILE)?, ..PartProgress::default() };
    commits.values().for_each(|commit| whole.add(commit));
    whole.tries = tries.values().cloned().collect();
    let mut found = vec![whole];
    for (name, record) in stored.parts()? {
        let holder = (!record.is_complete).then_some(record.holder);
        let mut part = PartProgress { name, holder, is_complete: record.is_complete, ..PartProgress::default() };
        let shards = record.shards.0..record.shards.1;
        commits.range(shards.clone()).for_each(|(_, commit)| part.add(commit));
        part.tries = tries.range(shards).map(|(_, found)| found.clone()).collect();
        found.push(part);
    }
    Ok(found)
}
