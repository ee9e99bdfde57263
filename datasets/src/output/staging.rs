//! Folders in which shards are written before they go to a store: one for each process, among the temporary files.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let is_old = modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > OLD));
        if is_ours && is_old && Folder::holder(&entry.path()).is_none() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_folders_of_ended_processes_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        let names = ["anyflow-staging-ended", "anyflow-staging-held", "anyflow-staging-young", "of-others"];
        names.iter().for_each(|name| std::fs::create_dir(at(name)).unwrap());
        let _held = Folder::open(&at("anyflow-staging-held")).unwrap();
        let old = SystemTime::now() - 2 * OLD;
        for name in names.into_iter().filter(|name| !name.ends_with("young")) {
            std::fs::File::open(at(name)).unwrap().set_modified(old).unwrap();
        }
        sweep(parent.path());
        assert_eq!(names.map(|name| at(name).exists()), [false, true, true, true]);
    }
}
