//! The identity of a job: a list of named parts.

use std::path::Path;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::difference::Difference;
use crate::error::{DatasetError, Result};
use crate::folder::Folder;
use crate::record;

/// Increases when older versions would misread the file.
pub(crate) const JOB_FORMAT: u32 = 2;

/// The parts of a job, such as plan, weights, plugins, input and seed. Jobs with equal parts write equal rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId {
    parts: IndexMap<String, String>,
}

/// Content of `job.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct JobRecord {
    pub(crate) format: u32,
    pub(crate) fingerprint: String,
    /// Missing in format 1.
    #[serde(default)]
    parts: JobId,
}

impl JobId {
    /// Adds a part, or replaces the one of this name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl ToString) -> JobId {
        self.parts.insert(name.into(), value.to_string());
        self
    }

    /// Names and values, in the order in which they were added.
    pub fn parts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parts.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Hex blake3 of all parts, independent of their order.
    pub fn fingerprint(&self) -> String {
        let mut parts: Vec<(&str, &str)> = self.parts().collect();
        parts.sort_unstable();
        let mut hasher = blake3::Hasher::new();
        for text in parts.into_iter().flat_map(|(name, value)| [name, value]) {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// The parts that differ between `found` and this job.
    pub fn differences(&self, found: &JobId) -> Vec<Difference> {
        let only_there = found.parts.keys().filter(|name| !self.parts.contains_key(*name));
        let of = |name: &String| Difference {
            name: name.clone(),
            expected: self.parts.get(name).cloned(),
            found: found.parts.get(name).cloned(),
        };
        self.parts.keys().chain(only_there).map(of).filter(|part| part.expected != part.found).collect()
    }

    /// Compares the job with the one that the file `name` (`job.json`, `training.json`) of a folder holds; false if
    /// there is no such file.
    ///
    /// # Errors
    /// [`DatasetError::OtherJob`] with the parts that differ; [`DatasetError::OtherFormat`], [`DatasetError::Record`]
    /// for a file of another version or a damaged one; [`DatasetError::Io`].
    pub fn is_of(&self, folder: &Folder, name: &str) -> Result<bool> {
        let Some(content) = folder.read(name)? else { return Ok(false) };
        self.check_record(folder.path(), name, &content).map(|()| true)
    }

    /// Compares the job with the one in a record, the file `name` of a folder.
    ///
    /// # Errors
    /// As [`JobId::is_of`].
    pub(crate) fn check_record(&self, folder: &Path, name: &str, content: &[u8]) -> Result<()> {
        let found = JobId::parse(&folder.join(name), content)?;
        match self.differences(&found) {
            differences if differences.is_empty() => Ok(()),
            differences => Err(DatasetError::OtherJob { path: folder.to_path_buf(), differences }),
        }
    }

    /// The job in a record, read from `path`.
    ///
    /// # Errors
    /// As [`JobId::is_of`], but for another job.
    pub(crate) fn parse(path: &Path, content: &[u8]) -> Result<JobId> {
        Ok(JobRecord::parse(path, content)?.parts)
    }

    /// The record of the job.
    pub(crate) fn to_record(&self) -> Result<Vec<u8>> {
        record::to_json(&JobRecord { format: JOB_FORMAT, fingerprint: self.fingerprint(), parts: self.clone() })
    }

    /// The job in the file `name` of a folder; `None` without such a file.
    ///
    /// # Errors
    /// As [`JobId::is_of`], but for another job.
    pub(crate) fn read(folder: &Folder, name: &str) -> Result<Option<JobId>> {
        let content = folder.read(name)?;
        content.map(|content| JobId::parse(&folder.path().join(name), &content)).transpose()
    }

    /// Writes the job into the file `name` of a folder.
    ///
    /// # Errors
    /// As [`Folder::write`].
    pub fn write(&self, folder: &Folder, name: &str) -> Result<()> {
        folder.write(name, &self.to_record()?)
    }
}

impl JobRecord {
    fn parse(path: &Path, content: &[u8]) -> Result<JobRecord> {
        let record: JobRecord = record::from_json(path, content)?;
        if record.format != JOB_FORMAT {
            let path = path.to_path_buf();
            return Err(DatasetError::OtherFormat { path, found: record.format, known: JOB_FORMAT });
        }
        if record.parts.fingerprint() != record.fingerprint {
            let reason = "has a fingerprint that is not that of its parts".into();
            return Err(DatasetError::Record { path: path.to_path_buf(), reason });
        }
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_parts_does_not_matter_but_their_boundaries_do() {
        let job = JobId::default().with("seed", 5).with("plan", "ab");
        assert_eq!(job.fingerprint(), JobId::default().with("plan", "ab").with("seed", "5").fingerprint());
        assert_ne!(JobId::default().with("a", "bc").fingerprint(), JobId::default().with("ab", "c").fingerprint());
        assert!(job.differences(&JobId::default().with("plan", "ab").with("seed", 5)).is_empty());
    }

    #[test]
    fn differences_are_named_on_both_sides() {
        let here = JobId::default().with("seed", 5).with("weights", "a".repeat(64)).with("key", "id");
        let there = JobId::default().with("seed", 6).with("weights", "b".repeat(64)).with("threads", 2);
        let texts: Vec<String> = here.differences(&there).iter().map(ToString::to_string).collect();
        let expected = [
            "seed is 6 there and 5 here",
            "weights is bbbbbbbbbbbb… there and aaaaaaaaaaaa… here",
            "key is missing there and id here",
            "threads is 2 there and missing here",
        ];
        assert_eq!(texts, expected);
    }
}
