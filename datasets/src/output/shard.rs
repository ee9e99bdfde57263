//! The records of a shard: in its commit, in the manifest, and in its own file.

use serde::{Deserialize, Serialize};

use super::manifest::DATA_FOLDER;
use crate::error::{DatasetError, Result};
use crate::read::Part;
use crate::write::WrittenFile;

/// Key of the Parquet metadata that identifies the job and the shard of a file.
pub(crate) const MARK_KEY: &str = "anyflow.shard";

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

/// The record of a shard in its own metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Fingerprint of the job.
    pub(crate) job: String,
    pub(crate) shard: u64,
    /// Number of shards of the job.
    pub(crate) of: u64,
    pub(crate) rows: u64,
}

impl Mark {
    pub(super) fn to_text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| DatasetError::internal("marking a shard", error))
    }

    /// The mark of a file; `None` if no job wrote it.
    pub(crate) fn of(part: &Part) -> Option<Mark> {
        let metadata = part.metadata.metadata().file_metadata().key_value_metadata()?;
        let value = metadata.iter().find(|pair| pair.key == MARK_KEY)?.value.as_ref()?;
        serde_json::from_str(value).ok()
    }
}

impl Shard {
    pub(super) fn without_file(shard: u64) -> Shard {
        Shard { shard, file: None, rows: 0, size_bytes: 0, blake3: String::new() }
    }

    pub(super) fn with_file(shard: u64, written: WrittenFile) -> Shard {
        let WrittenFile { rows, size_bytes, blake3 } = written;
        Shard { shard, file: Some(shard_file(shard)), rows, size_bytes, blake3 }
    }

    /// True if its file has the name for this shard number: an untrusted record cannot name any other file.
    pub(super) fn names_its_own_file(&self) -> bool {
        match &self.file {
            Some(file) => *file == shard_file(self.shard),
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

/// Path of a shard inside the folder.
pub(super) fn shard_file(shard: u64) -> String {
    format!("{DATA_FOLDER}/shard-{shard:05}.parquet")
}

/// The number in the name of a shard's file; `None` for any name that [`shard_file`] does not make.
pub(super) fn shard_of_file(name: &str) -> Option<u64> {
    let shard = name.strip_prefix("shard-")?.strip_suffix(".parquet")?.parse().ok()?;
    (shard_file(shard).strip_prefix(DATA_FOLDER)?.strip_prefix('/')? == name).then_some(shard)
}

/// Shortens a fingerprint to its start.
pub(crate) fn short(fingerprint: &str) -> &str {
    fingerprint.get(..12).unwrap_or(fingerprint)
}
