//! Attempts at shards: a shard that kills its process must not do so for ever.

use serde::{Deserialize, Serialize};

use super::OutputDir;
use super::names::{ATTEMPT_FOLDER, attempt_file, shard_of_attempt};
use crate::error::Result;
use crate::record;

/// The attempts at a shard that is not committed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardAttempts {
    /// The shard.
    pub shard: u64,
    /// Attempts that began.
    pub attempts: u64,
    /// How the process of the last one ended, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl OutputDir {
    /// The attempts at shards that are not committed, in order of the shards. Removes the records of the others.
    ///
    /// # Errors
    /// The disk or the store.
    pub fn attempts(&self) -> Result<Vec<ShardAttempts>> {
        let inner = &*self.0;
        let names = match &inner.store {
            None => inner.folder.files(ATTEMPT_FOLDER)?,
            Some(store) => store.names(ATTEMPT_FOLDER)?,
        };
        let mut found = Vec::new();
        for shard in names.iter().filter_map(|name| shard_of_attempt(name)).filter(|shard| self.is_ours(*shard)) {
            if self.committed(shard) {
                self.forget_attempts(shard)?;
            } else if let Some(content) = self.read(&attempt_file(shard))? {
                found.push(record::from_json(&self.path().join(attempt_file(shard)), &content)?);
            }
        }
        found.sort_by_key(|found: &ShardAttempts| found.shard);
        Ok(found)
    }

    /// The attempts at a shard; none is 0 attempts.
    ///
    /// # Errors
    /// The disk or the store; the record is damaged.
    pub fn attempts_at(&self, shard: u64) -> Result<ShardAttempts> {
        let name = attempt_file(shard);
        match self.read(&name)? {
            Some(content) => record::from_json(&self.path().join(name), &content),
            None => Ok(ShardAttempts { shard, ..ShardAttempts::default() }),
        }
    }

    /// Keeps the attempts at a shard. They are counted before the shard begins.
    ///
    /// # Errors
    /// The disk or the store.
    pub fn keep_attempts(&self, attempts: &ShardAttempts) -> Result<()> {
        if self.0.store.is_none() {
            self.0.folder.make_folder(ATTEMPT_FOLDER)?;
        }
        self.write(&attempt_file(attempts.shard), &record::to_json(attempts)?)
    }

    /// Removes the record of a shard's attempts, if there is one.
    ///
    /// # Errors
    /// The disk or the store.
    pub fn forget_attempts(&self, shard: u64) -> Result<()> {
        match &self.0.store {
            None => self.0.folder.remove(&attempt_file(shard)),
            Some(store) => store.remove(&attempt_file(shard)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::folder::Folder;
    use crate::output::stored::Stored;
    use crate::output::{Expected, Inner, StoredPart};

    #[test]
    fn a_part_reads_the_attempts_at_its_own_shards() {
        let place = tempfile::tempdir().unwrap();
        let part = StoredPart { name: "2-of-2".into(), shards: 2..4 };
        let output = OutputDir(Arc::new(Inner {
            folder: Folder::open(place.path()).unwrap(),
            fingerprint: "the job".into(),
            expected: Expected { shards: 4, rows: 8 },
            attempt: 1,
            commits: Mutex::new(BTreeMap::new()),
            store: Some(Stored::in_memory("out", Some(part))),
            _staging: None,
        }));
        let attempts = |shard| ShardAttempts { shard, attempts: shard + 1, error: None };
        (0..4).rev().for_each(|shard| output.keep_attempts(&attempts(shard)).unwrap());
        assert_eq!(output.attempts().unwrap(), [attempts(2), attempts(3)]);
        output.forget_attempts(2).unwrap();
        assert_eq!(output.attempts_at(2).unwrap(), ShardAttempts { shard: 2, ..ShardAttempts::default() });
        assert_eq!(output.attempts_at(0).unwrap(), attempts(0), "that of another part stays");
    }
}
