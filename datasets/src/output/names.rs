//! The names of files in an output folder.

/// The file that completes a job. Readers trust nothing else.
pub const MANIFEST_FILE: &str = "manifest.json";
pub(crate) const JOB_FILE: &str = "job.json";
pub(crate) const DATA_FOLDER: &str = "data";
pub(crate) const COMMIT_FOLDER: &str = "commits";
pub(super) const ATTEMPT_FOLDER: &str = "attempts";
/// All folders of an output in which files are written, the output itself first.
pub(super) const WRITTEN_FOLDERS: [&str; 4] = ["", DATA_FOLDER, COMMIT_FOLDER, ATTEMPT_FOLDER];
/// Digits of the hash in the name of a shard in a store.
const STORED_DIGITS: usize = 16;

/// Path of a commit inside the folder.
pub(super) fn commit_file(shard: u64) -> String {
    format!("{COMMIT_FOLDER}/{shard:05}.json")
}

/// The number in the name of a commit; `None` for any name that [`commit_file`] does not make.
pub(super) fn shard_of_commit(name: &str) -> Option<u64> {
    let shard = name.strip_suffix(".json")?.parse().ok()?;
    (commit_file(shard).strip_prefix(COMMIT_FOLDER)?.strip_prefix('/')? == name).then_some(shard)
}

/// Path of the attempts at a shard inside the folder.
pub(super) fn attempt_file(shard: u64) -> String {
    format!("{ATTEMPT_FOLDER}/{shard:05}.json")
}

/// The number in the name of a record of attempts; `None` for any name that [`attempt_file`] does not make.
pub(super) fn shard_of_attempt(name: &str) -> Option<u64> {
    // Both folders name their files alike.
    shard_of_commit(name)
}

/// Path of a shard inside the folder.
pub(super) fn shard_file(shard: u64) -> String {
    format!("{DATA_FOLDER}/shard-{shard:05}.parquet")
}

/// Path of a shard inside an output in a store. The hash makes it the name of its content: two writers of one shard cannot
/// replace each other's file.
pub(super) fn stored_shard_file(shard: u64, blake3: &str) -> String {
    format!("{DATA_FOLDER}/shard-{shard:05}-{}.parquet", blake3.get(..STORED_DIGITS).unwrap_or(blake3))
}

/// True for a name in the folder of the data that [`stored_shard_file`] makes.
pub(super) fn is_stored_shard(name: &str) -> bool {
    let parts = name.strip_prefix("shard-").and_then(|name| name.strip_suffix(".parquet")?.split_once('-'));
    parts.is_some_and(|(shard, hash)| {
        let is_hash = hash.len() == STORED_DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash && shard.parse().is_ok_and(|shard| stored_shard_file(shard, hash) == format!("{DATA_FOLDER}/{name}"))
    })
}

/// The number in the name of a shard's file; `None` for any name that [`shard_file`] does not make.
pub(super) fn shard_of_file(name: &str) -> Option<u64> {
    let shard = name.strip_prefix("shard-")?.strip_suffix(".parquet")?.parse().ok()?;
    (shard_file(shard).strip_prefix(DATA_FOLDER)?.strip_prefix('/')? == name).then_some(shard)
}
