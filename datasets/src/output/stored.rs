//! The output of a job in an object store, to which any number of processes write.
//!
//! ```text
//! job.json                          the parts of the job, put only if there is none
//! data/shard-00000-HASH.parquet     named by its content, so that writers of one shard never replace each other's file
//! commits/00000.json                put only if there is none: the first writer of a shard wins, and the others drop theirs
//! parts/3-of-8.json                 who does this part of the shards, and whether it is complete
//! failures.parquet, README.md       as on the disk
//! manifest.json                     put last
//! ```
//! There are no locks: the conditional put of the commit decides. A process that is killed leaves at most files without a
//! commit, which no reader of the manifest sees and `anyflow gc` removes.

mod progress;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub(super) use progress::progress;

use super::manifest::{Commit, Manifest};
use super::names::{
    COMMIT_FOLDER, DATA_FOLDER, JOB_FILE, MANIFEST_FILE, commit_file, is_stored_shard, shard_of_commit,
};
use super::part::PARTS_FOLDER;
use super::shard::Shard;
use super::{Expected, FAILURES_FILE};
use crate::error::{DatasetError, Result};
use crate::failpoint;
use crate::folder::Folder;
use crate::job::JobId;
use crate::record;
use crate::store::{Address, Created, Object};

/// A part of the shards of a job in a store.
#[derive(Clone, Debug)]
pub struct StoredPart {
    /// Its name, such as `3-of-8`.
    pub name: String,
    /// Its shards.
    pub shards: Range<u64>,
}

/// Content of `parts/3-of-8.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StoredPartRecord {
    /// The size of the whole job.
    pub(super) job: Expected,
    /// Its first shard, and the one behind its last.
    pub(super) shards: (u64, u64),
    /// The process that began it last, as a phrase.
    pub(super) holder: String,
    pub(super) is_complete: bool,
    /// License of the weights that made the rows, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) license: Option<String>,
}

/// The output at an address.
#[derive(Debug)]
pub(super) struct Stored {
    address: Address,
    part: Option<StoredPart>,
}

impl Stored {
    /// Begins or resumes a job. Refuses another job's output, and a store that replaces what it should not.
    pub(super) fn claim(path: &Path, job: &JobId, part: Option<StoredPart>) -> Result<Stored> {
        let stored = Stored::at(path)?;
        let Stored { address, .. } = &stored;
        let content = job.to_record()?;
        let record = address.join(JOB_FILE);
        let found = match record.read()? {
            Some(found) => Some(found),
            None => {
                stored.refuse_foreign()?;
                match record.create(content.clone())? {
                    Created::Ours => None,
                    Created::Theirs(found) => Some(found),
                }
            }
        };
        if let Some(found) = found {
            job.check_record(path, JOB_FILE, &found)?;
        }
        failpoint::reach("job-named");
        // The record is there now: a store that takes it once more ignores the condition.
        if record.try_create(&content.into())? {
            let reason = "it replaced an object that it should have kept".into();
            return Err(DatasetError::NoConditionalPut { path: path.to_path_buf(), reason });
        }
        Ok(Stored { part, ..stored })
    }

    /// The output at an address, of whatever job.
    pub(super) fn at(path: &Path) -> Result<Stored> {
        let wrong = |reason: &str| DatasetError::Address { path: path.to_path_buf(), reason: reason.to_string() };
        let address = Address::parse(path)?.ok_or_else(|| wrong("it is no address"))?;
        if !address.has_folders() {
            return Err(wrong("a web server takes no output"));
        }
        Ok(Stored { address, part: None })
    }

    /// The output in an empty store in memory.
    #[cfg(test)]
    pub(super) fn in_memory(name: &str, part: Option<StoredPart>) -> Stored {
        Stored { address: Address::in_memory(name), part }
    }

    pub(super) fn path(&self) -> &Path {
        &self.address.shown
    }

    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.address.join(name).read()?.map(|bytes| bytes.to_vec()))
    }

    pub(super) fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        self.address.join(name).write(content.to_vec())
    }

    pub(super) fn remove(&self, name: &str) -> Result<()> {
        self.address.join(name).remove()
    }

    /// The names of the objects in a folder.
    pub(super) fn names(&self, folder: &str) -> Result<Vec<String>> {
        Ok(self.address.join(folder).list()?.into_iter().map(|object| object.name).collect())
    }

    /// True for a shard that this process does.
    pub(super) fn has_shard(&self, shard: u64) -> bool {
        self.part.as_ref().is_none_or(|part| part.shards.contains(&shard))
    }

    /// The files of shards that no commit names.
    pub(super) fn shards_without_commit(&self) -> Result<Vec<Object>> {
        let files = self.address.join(DATA_FOLDER).list()?;
        // The commits come second: a file that is committed in between is none of these.
        let names = self.names(COMMIT_FOLDER)?.into_iter().filter(|name| shard_of_commit(name).is_some());
        let names: Vec<String> = names.map(|name| format!("{COMMIT_FOLDER}/{name}")).collect();
        let mut named = BTreeSet::new();
        for (name, content) in names.iter().zip(self.address.read_all(&names)?) {
            if let Some(content) = content {
                named.extend(record::from_json::<Commit>(&self.path().join(name), &content)?.shard.file);
            }
        }
        let is_orphan = |name: &str| is_stored_shard(name) && !named.contains(&format!("{DATA_FOLDER}/{name}"));
        Ok(files.into_iter().filter(|object| is_orphan(&object.name)).collect())
    }

    fn refuse_foreign(&self) -> Result<()> {
        let is_output = |name: &str| {
            [MANIFEST_FILE, FAILURES_FILE].contains(&name)
                || [DATA_FOLDER, COMMIT_FOLDER]
                    .iter()
                    .any(|folder| name.split_once('/').is_some_and(|(first, _)| first == *folder))
                || (name.ends_with(".parquet") && !name.contains('/') && !name.starts_with('.'))
        };
        match self.address.list()?.into_iter().find(|object| is_output(&object.name)) {
            Some(Object { name, .. }) => Err(DatasetError::NotOurs { path: self.path().to_path_buf(), found: name }),
            None => Ok(()),
        }
    }

    /// The valid commits of this part. Removes those whose file is gone, and a manifest that does not fit.
    pub(super) fn recover(&self, job: &str, expected: Expected) -> Result<BTreeMap<u64, Commit>> {
        // The manifest comes first: another process may write it right now, behind the last commit.
        let manifest = if self.part.is_none() { self.read(MANIFEST_FILE)? } else { None };
        let found = self.commits(job, expected)?;
        for shard in found.broken {
            self.remove(MANIFEST_FILE)?;
            self.remove(&commit_file(shard))?;
        }
        let path = self.path().join(MANIFEST_FILE);
        let agrees = |content: Vec<u8>| {
            let manifest = record::from_json::<Manifest>(&path, &content).and_then(|manifest| manifest.checked(&path));
            manifest.is_ok_and(|manifest| manifest.is_of(job, expected, &found.valid))
        };
        if !manifest.is_none_or(agrees) {
            self.remove(MANIFEST_FILE)?;
        }
        Ok(found.valid)
    }

    /// Takes the commits of other processes over.
    pub(super) fn refresh(&self, job: &str, expected: Expected, known: &mut BTreeMap<u64, Commit>) -> Result<()> {
        let found = self.commits(job, expected)?.valid;
        if known.iter().any(|(shard, commit)| found.get(shard) != Some(commit)) {
            return Err(DatasetError::Lost { path: self.path().to_path_buf() });
        }
        *known = found;
        Ok(())
    }

    /// The commits of this part, with their files compared by length.
    fn commits(&self, job: &str, expected: Expected) -> Result<Commits> {
        let listed = |folder: &str| self.address.join(folder).list();
        let shards = self.part.as_ref().map_or(0..expected.shards, |part| part.shards.clone());
        let named = listed(COMMIT_FOLDER)?.into_iter().filter_map(|object| shard_of_commit(&object.name));
        // The files come second: each is there before its commit.
        let numbers: Vec<u64> = named.filter(|shard| shards.contains(shard)).collect();
        let files = listed(DATA_FOLDER)?;
        let sizes: BTreeMap<&str, u64> =
            files.iter().map(|file| (file.name.as_str(), file.version.size_bytes)).collect();
        let names: Vec<String> = numbers.iter().map(|shard| commit_file(*shard)).collect();
        let contents = self.address.read_all(&names)?;
        let mut found = Commits::default();
        for ((shard, name), content) in numbers.into_iter().zip(&names).zip(contents) {
            let Some(content) = content else { continue };
            let commit = record::from_json::<Commit>(&self.path().join(name), &content).ok();
            let has_file =
                |file: &String| file.strip_prefix(DATA_FOLDER).and_then(|name| sizes.get(&name[1..])).copied();
            let holds = |commit: &Commit| {
                commit.job == job
                    && commit.shard.shard == shard
                    && commit.shard.names_its_own_file()
                    && commit.shard.file.as_ref().is_none_or(|file| has_file(file) == Some(commit.shard.size_bytes))
            };
            match commit.filter(holds) {
                Some(commit) => drop(found.valid.insert(shard, commit)),
                None => found.broken.push(shard),
            }
        }
        Ok(found)
    }

    /// Copies a complete shard into the store, and removes it from the folder.
    pub(super) fn upload(&self, folder: &Folder, shard: Shard) -> Result<Shard> {
        let Some(file) = shard.file.clone() else { return Ok(shard) };
        let shard = shard.in_store();
        let name = shard.file.as_deref().unwrap_or_default();
        let object = self.address.join(name);
        if let Err(error) = copy(folder, &file, &object) {
            // The last answer may have been lost: the name is that of the content.
            let there = object.version().ok().flatten();
            if there.is_none_or(|there| there.size_bytes != shard.size_bytes) {
                return Err(error);
            }
        }
        failpoint::reach("shard-uploaded");
        folder.remove(&file)?;
        Ok(shard)
    }

    /// Commits a shard, and returns the commit that holds: that of another process if it was faster.
    pub(super) fn commit(&self, commit: Commit) -> Result<Commit> {
        let name = commit_file(commit.shard.shard);
        let record = self.address.join(&name);
        let theirs = match record.create(record::to_json(&commit)?)? {
            Created::Ours => return Ok(commit),
            Created::Theirs(content) => record::from_json::<Commit>(&record.shown, &content)?,
        };
        if theirs.job != commit.job {
            return Err(DatasetError::Lost { path: self.path().to_path_buf() });
        }
        if let Some(file) = commit.shard.file.filter(|file| Some(file) != theirs.shard.file.as_ref()) {
            self.address.join(&file).remove()?;
        }
        Ok(theirs)
    }

    /// Moves a file of the folder into the store, under the same name.
    pub(super) fn take_file(&self, folder: &Folder, name: &str) -> Result<()> {
        copy(folder, name, &self.address.join(name))?;
        folder.remove(name)
    }

    /// Writes the manifest. Another process may have written the same.
    pub(super) fn finish(&self, manifest: &Manifest) -> Result<()> {
        let record = self.address.join(MANIFEST_FILE);
        match record.create(record::to_json(manifest)?)? {
            Created::Ours => Ok(()),
            Created::Theirs(content) if record::from_json::<Manifest>(&record.shown, &content)? == *manifest => Ok(()),
            Created::Theirs(_) => Err(DatasetError::Lost { path: self.path().to_path_buf() }),
        }
    }

    /// Says who does this part, if it is one, and whether it is complete.
    pub(super) fn write_part(&self, job: Expected, license: Option<&str>, is_complete: bool) -> Result<()> {
        let Some(StoredPart { name, shards }) = &self.part else { return Ok(()) };
        let license = license.map(str::to_string);
        let holder = Folder::this_process();
        let record = StoredPartRecord { job, shards: (shards.start, shards.end), holder, is_complete, license };
        self.write(&format!("{PARTS_FOLDER}/{name}.json"), &record::to_json(&record)?)
    }

    /// The records of all parts, by name.
    pub(super) fn parts(&self) -> Result<BTreeMap<String, StoredPartRecord>> {
        let listed = self.address.join(PARTS_FOLDER).list()?;
        let names: Vec<&str> = listed.iter().filter_map(|object| object.name.strip_suffix(".json")).collect();
        let files: Vec<String> = names.iter().map(|name| format!("{PARTS_FOLDER}/{name}.json")).collect();
        let mut parts = BTreeMap::new();
        for ((name, file), content) in names.into_iter().zip(&files).zip(self.address.read_all(&files)?) {
            if let Some(content) = content {
                parts.insert(name.to_string(), record::from_json(&self.path().join(file), &content)?);
            }
        }
        Ok(parts)
    }
}

/// The commits of a job.
#[derive(Default)]
struct Commits {
    valid: BTreeMap<u64, Commit>,
    /// Shards whose commit is of another job, or whose file is gone.
    broken: Vec<u64>,
}

/// Copies a file of a folder to an object.
fn copy(folder: &Folder, name: &str, object: &Address) -> Result<()> {
    let missing = || DatasetError::Missing { path: folder.path().join(name) };
    let size = folder.length(name)?.ok_or_else(missing)?;
    object.upload(folder.open_file(name)?.ok_or_else(missing)?, size)
}

#[cfg(test)]
mod tests;
