//! Folders in which shards are written before they go to a store: one for each process, among the temporary files.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::FAILURES_FILE;
use super::names::{DATA_FOLDER, shard_of_file};
use crate::error::{Result, io_error};
use crate::folder::Folder;

const PREFIX: &str = "anyflow-staging-";
/// A younger folder may be one that its process has not locked yet.
const OLD: Duration = Duration::from_secs(600);
/// Only for the user: rows may be private.
const MODE: u32 = 0o700;

/// A folder that is removed in the end.
#[derive(Debug)]
pub(super) struct Staging(PathBuf);

impl Staging {
    /// Makes a folder, and removes those of killed processes.
    pub(super) fn new() -> Result<Staging> {
        let parent = std::env::temp_dir();
        sweep(&parent);
        loop {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
            let path = parent.join(format!("{PREFIX}{:x}-{now:x}", std::process::id()));
            match DirBuilder::new().mode(MODE).create(&path) {
                Ok(()) => return Ok(Staging(path)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(io_error(&path, "create")(error)),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Best effort: the next process removes what is left.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Removes the folders of processes that have ended. Best effort: others may belong to other users.
fn sweep(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let is_ours =
            entry.file_name().to_str().is_some_and(is_name) && entry.file_type().is_ok_and(|kind| kind.is_dir());
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let is_old = modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > OLD));
        if is_ours && is_old && Folder::holder(&entry.path()).is_none() {
            let _ = remove(&entry.path());
        }
    }
}

/// Removes what a process leaves in such a folder, and the folder if nothing else is in it.
fn remove(path: &Path) -> Result<()> {
    let folder = Folder::open(path)?;
    folder.sweep(DATA_FOLDER)?;
    folder.clear(DATA_FOLDER, |name| shard_of_file(name).is_some())?;
    folder.sweep("")?;
    folder.clear("", |name| name == FAILURES_FILE)?;
    drop(folder);
    std::fs::remove_dir(path).map_err(io_error(path, "remove"))
}

/// True for the name that a process gives such a folder.
fn is_name(name: &str) -> bool {
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.strip_prefix(PREFIX).and_then(|mark| mark.split_once('-')).is_some_and(|(pid, time)| hex(pid) && hex(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: &str = "anyflow-staging-1a-b";
    const YOUNG: &str = "anyflow-staging-1a-c";
    const ENDED: &str = "anyflow-staging-1a-d";
    const USED: &str = "anyflow-staging-1a-e";
    const NAMED: &str = "anyflow-staging-of-a-user";

    #[test]
    fn only_old_folders_of_ended_processes_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        for name in [HELD, YOUNG, ENDED, USED, NAMED] {
            std::fs::create_dir_all(at(name).join("data")).unwrap();
            for file in ["data/shard-00001.parquet", "data/.shard-00002.parquet.1-2.tmp", "failures.parquet"] {
                std::fs::write(at(name).join(file), "rows").unwrap();
            }
        }
        std::fs::write(at(USED).join("notes.txt"), "mine").unwrap();
        std::os::unix::fs::symlink(at(NAMED), at("anyflow-staging-1a-f")).unwrap();
        let _held = Folder::open(&at(HELD)).unwrap();
        let old = SystemTime::now() - 2 * OLD;
        for name in [HELD, ENDED, USED, NAMED] {
            std::fs::File::open(at(name)).unwrap().set_modified(old).unwrap();
        }
        sweep(parent.path());
        let left = [HELD, YOUNG, ENDED, USED, NAMED].map(|name| at(name).exists());
        assert_eq!(left, [true, true, false, true, true]);
        let left = [HELD, YOUNG, NAMED].map(|name| at(name).join("data/shard-00001.parquet").exists());
        assert_eq!(left, [true; 3]);
        assert!(at(USED).join("notes.txt").exists() && !at(USED).join("data").exists(), "a foreign file stays");
    }
}
