//! Small jobs whose rows identify their job.

use std::path::{Path, PathBuf};

use crate::support::{all_ids, numbered_batch, open};
use anyflow_datasets::{Dataset, DatasetError, Expected, Failure, Folder, JobId, Manifest, OutputDir};
use serde_json::Value;

pub const SHARDS: u64 = 4;
const SHARD_ROWS: u64 = 5;
pub const EXPECTED: Expected = Expected { shards: SHARDS, rows: SHARDS * SHARD_ROWS };

pub fn open_job(folder: &Path, seed: u64) -> Result<OutputDir, DatasetError> {
    OutputDir::open(Folder::open(folder)?, &JobId::default().with("seed", seed), EXPECTED)
}

/// Writes a shard. The ids of a job start at a thousand times its seed, and row 1 of each shard fails.
pub fn write_shard(output: &OutputDir, shard: u64, seed: u64) -> Result<(), DatasetError> {
    let first = seed * 1000 + shard * SHARD_ROWS;
    let (good, features) = numbered_batch(first as i64, SHARD_ROWS as i64 - 1);
    let text = |text: &str| text.to_string();
    let row = first + SHARD_ROWS - 1;
    let failure =
        Failure { row_key: row.to_string(), row, node: text("picture"), code: text("test"), text: text("meant") };
    let mut writer = output.shard(shard, &features)?;
    writer.write(&good)?;
    writer.commit(&[failure])
}

/// Runs the job; returns the shards that it wrote.
pub fn run(folder: &Path, seed: u64) -> Vec<u64> {
    try_run(folder, seed).unwrap()
}

/// Shards that had to be done, or the error that ended the job.
pub fn try_run(folder: &Path, seed: u64) -> Result<Vec<u64>, DatasetError> {
    let output = open_job(folder, seed)?;
    let todo: Vec<u64> = (0..SHARDS).filter(|shard| !output.committed(*shard)).collect();
    todo.iter().try_for_each(|shard| write_shard(&output, *shard, seed))?;
    output.finish()?;
    Ok(todo)
}

pub fn begin(folder: &Path, seed: u64, shards: &[u64]) {
    let output = open_job(folder, seed).unwrap();
    shards.iter().for_each(|shard| write_shard(&output, *shard, seed).unwrap());
}

pub fn assert_good(folder: &Path, seed: u64) {
    let expected: Vec<i64> = (0..SHARDS * SHARD_ROWS)
        .filter(|row| row % SHARD_ROWS != SHARD_ROWS - 1)
        .map(|row| (seed * 1000 + row) as i64)
        .collect();
    assert_eq!(all_ids(&open(folder)), expected);
    let found = Manifest::read(folder).unwrap().verify(folder).unwrap();
    assert_eq!((found.files, found.damaged), (SHARDS + 1, vec![]));
}

pub fn refusal(path: PathBuf) -> DatasetError {
    Dataset::open(&[path]).unwrap_err()
}

pub fn edit(path: &Path, edit: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    edit(&mut value);
    std::fs::write(path, serde_json::to_vec(&value).unwrap()).unwrap();
}

pub fn put(from: PathBuf, to: PathBuf) {
    std::fs::copy(from, to).unwrap();
}

pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &target) } else { put(path, target) }
    }
}

pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}
