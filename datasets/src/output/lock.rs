//! One writing process per output folder.

use std::fs::File;
use std::path::Path;

use crate::error::{DatasetError, Result, io_error};

const LOCK_FILE: &str = ".lock";

/// An advisory lock on the folder. It belongs to the open file, so a killed process cannot leave it behind.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

impl FolderLock {
    pub(super) fn acquire(folder: &Path) -> Result<FolderLock> {
        let path = folder.join(LOCK_FILE);
        let file = File::create(&path).map_err(io_error(&path, "create"))?;
        match try_lock(&file) {
            Ok(()) => Ok(FolderLock { _file: file }),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                Err(DatasetError::Busy { path: folder.to_path_buf() })
            }
            Err(error) => Err(io_error(&path, "lock")(error)),
        }
    }
}

#[cfg(unix)]
fn try_lock(file: &File) -> std::io::Result<()> {
    use rustix::fs::{FlockOperation, flock};
    use rustix::io::Errno;
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        // Some network file systems have no locks; there the user keeps to one process.
        Err(Errno::NOTSUP | Errno::NOSYS | Errno::NOLCK) => Ok(()),
        other => other.map_err(Into::into),
    }
}

#[cfg(not(unix))]
fn try_lock(_file: &File) -> std::io::Result<()> {
    Ok(())
}
