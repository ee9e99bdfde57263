//! The record of a shard in its commit and in the manifest.

use serde::{Deserialize, Serialize};

use super::mark::Mark;
use super::names::{shard_file, stored_shard_file};
use crate::read::Part;
use crate::write::WrittenFile;

/// A complete shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Index of the shard.
    pub shard: u64,
    /// Path inside the output folder; `None` if every row failed.
    pub file: Option<String>,
    /// Rows in the file.
    pub rows: u64,
    /// Length of the file.
    pub size_bytes: u64,
    /// Hex blake3 of the file, empty without one.
    pub blake3: String,
}

impl Shard {
    pub(super) fn without_file(shard: u64) -> Shard {
        Shard { shard, file: None, rows: 0, size_bytes: 0, blake3: String::new() }
    }

    pub(super) fn with_file(shard: u64, written: WrittenFile) -> Shard {
        let WrittenFile { rows, size_bytes, blake3 } = written;
        Shard { shard, file: Some(shard_file(shard)), rows, size_bytes, blake3 }
    }

    /// The shard as it is named in a store.
    pub(super) fn in_store(self) -> Shard {
        let file = self.file.map(|_| stored_shard_file(self.shard, &self.blake3));
        Shard { file, ..self }
    }

    /// True if its file has the name for this shard number: an untrusted record cannot name any other file.
    pub(super) fn names_its_own_file(&self) -> bool {
        match &self.file {
            Some(file) => *file == shard_file(self.shard) || *file == stored_shard_file(self.shard, &self.blake3),
            None => (self.rows, self.size_bytes) == (0, 0),
        }
    }

    /// The difference between an opened file and this shard of this job. Does not check the hash.
    pub(crate) fn disagreement(&self, job: &str, part: &Part) -> Option<String> {
        let found = (part.source.size_bytes, part.rows);
        if found != (self.size_bytes, self.rows) {
            let bytes = self.size_bytes;
            let rows = self.rows;
            return Some(format!(
                "has {} bytes and {} rows, but {bytes} bytes and {rows} rows are listed",
                found.0, found.1
            ));
        }
        let mark = Mark::of(part)?;
        if mark.job != job {
            return Some(format!("is a shard of another job ({}, the job here is {})", short(&mark.job), short(job)));
        }
        let shard = mark.shard;
        let rows = mark.rows;
        ((shard, rows) != (self.shard, self.rows)).then(|| {
            format!(
                "says that it is shard {shard} with {rows} rows, but is listed as shard {} with {}",
                self.shard, self.rows
            )
        })
    }
}

/// Shortens a fingerprint to its start.
pub(crate) fn short(fingerprint: &str) -> &str {
    fingerprint.get(..12).unwrap_or(fingerprint)
}
