//! The small JSON files of an output folder.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::failures::Failure;
use crate::error::{DatasetError, Result, io_error};
use crate::write::Written;

pub(crate) const MANIFEST_FILE: &str = "manifest.json";
pub(crate) const JOB_FILE: &str = "job.json";
pub(super) const DATA_FOLDER: &str = "data";
pub(super) const COMMIT_FOLDER: &str = "commits";
/// Grows when an older reader would misunderstand the files.
pub(super) const FORMAT: u32 = 1;

/// Path of a shard inside the folder.
pub(super) fn shard_file(shard: u64) -> String {
    format!("{DATA_FOLDER}/shard-{shard:05}.parquet")
}

/// Path of a commit inside the folder.
pub(super) fn commit_file(shard: u64) -> String {
    format!("{COMMIT_FOLDER}/{shard:05}.json")
}

/// Content of `job.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) format: u32,
    pub(super) fingerprint: String,
}

/// Proof that a shard is complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Commit {
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
    /// Rows of the shard that failed; empty in a manifest, which counts them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
}

impl Commit {
    pub(super) fn empty(shard: u64, failures: &[Failure]) -> Commit {
        Commit { shard, file: None, rows: 0, size_bytes: 0, blake3: String::new(), failures: failures.to_vec() }
    }

    pub(super) fn describe_file(&mut self, file: String, written: Written) {
        self.file = Some(file);
        self.rows = written.rows;
        self.size_bytes = written.size_bytes;
        self.blake3 = written.blake3;
    }

    /// True if the file it names is there with the length it names.
    pub(super) fn holds(&self, folder: &Path) -> bool {
        let length = |file: &String| std::fs::metadata(folder.join(file)).map(|metadata| metadata.len());
        self.file.as_ref().is_none_or(|file| length(file).is_ok_and(|length| length == self.size_bytes))
    }
}

/// A finished job: the only list of files that readers trust.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of these files.
    pub format: u32,
    /// Fingerprint of the job.
    pub fingerprint: String,
    /// Rows written.
    pub rows: u64,
    /// Rows in `failures.parquet`.
    pub failures: u64,
    /// Shards in order.
    pub shards: Vec<Commit>,
}

impl Manifest {
    pub(super) fn new(fingerprint: &str, commits: &[Commit]) -> Manifest {
        let shards: Vec<Commit> =
            commits.iter().map(|commit| Commit { failures: Vec::new(), ..commit.clone() }).collect();
        Manifest {
            format: FORMAT,
            fingerprint: fingerprint.to_string(),
            rows: commits.iter().map(|commit| commit.rows).sum(),
            failures: commits.iter().map(|commit| commit.failures.len() as u64).sum(),
            shards,
        }
    }

    /// Reads the manifest of an output folder.
    ///
    /// # Errors
    /// [`DatasetError::Missing`] if the job has not finished, [`DatasetError::Record`] for a damaged or newer file.
    pub fn read(folder: &Path) -> Result<Manifest> {
        let path = folder.join(MANIFEST_FILE);
        let manifest: Manifest = read_json(&path)?;
        check_format(&path, manifest.format)?;
        Ok(manifest)
    }
}

pub(super) fn check_format(path: &Path, format: u32) -> Result<()> {
    if format == FORMAT {
        return Ok(());
    }
    let reason = format!("has format {format}, this version of Anyflow knows format {FORMAT}");
    Err(DatasetError::Record { path: path.to_path_buf(), reason })
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).map_err(io_error(path, "open"))?;
    serde_json::from_slice(&bytes).map_err(|error| DatasetError::Record {
        path: path.to_path_buf(),
        reason: format!("is not what Anyflow wrote ({error})"),
    })
}

pub(super) fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| DatasetError::internal("writing JSON", error))?;
    text.push(b'\n');
    Ok(text)
}
