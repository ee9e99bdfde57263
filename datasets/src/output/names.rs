//! The names of files in an output folder.

/// The file that completes a job. Readers trust nothing else.
pub const MANIFEST_FILE: &str = "manifest.json";
pub(crate) const JOB_FILE: &str = "job.json";
pub(crate) const DATA_FOLDER: &str = "data";
pub(crate) const COMMIT_FOLDER: &str = "commits";

/// Path of a commit inside the folder.
pub(super) fn commit_file(shard: u64) -> String {
    format!("{COMMIT_FOLDER}/{shard:05}.json")
}

/// The number in the name of a commit; `None` for any name that [`commit_file`] does not make.
pub(super) fn shard_of_commit(name: &str) -> Option<u64> {
    let shard = name.strip_suffix(".json")?.parse().ok()?;
    (commit_file(shard).strip_prefix(COMMIT_FOLDER)?.strip_prefix('/')? == name).then_some(shard)
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
