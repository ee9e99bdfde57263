//! One writing process per folder.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::{Errno, retry_on_intr};

use super::holder::Holder;
use super::place::Place;
use crate::error::{DatasetError, Result, io_error};

/// Attempts to open a lock that its holder removes at the same moment.
const TRIES: u32 = 100;

/// An advisory lock. It belongs to the open file, so a killed process cannot leave it behind.
#[derive(Debug)]
pub(super) struct Lock {
    place: Arc<Place>,
    name: OsString,
    /// The absolute path of the lock file.
    path: PathBuf,
    identity: Identity,
    /// The locked folder or file, for messages.
    locked: PathBuf,
    /// The open lock file; the lock ends when it is closed.
    file: File,
}

/// The identity of a file, independent of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(metadata: &Metadata) -> Identity {
        Identity { device: metadata.dev(), inode: metadata.ino() }
    }
}

impl Lock {
    /// Takes the lock `name` in `place`, which guards `locked`.
    pub(super) fn acquire(place: &Arc<Place>, name: &OsStr, locked: &Path) -> Result<Lock> {
        let path = place.path.join(name);
        // Absolute, because the working folder may change.
        let path = std::path::absolute(&path).map_err(io_error(&path, "open"))?;
        for _ in 0..TRIES {
            let file = place.open_file(name, OFlags::RDWR | OFlags::CREATE)?;
            let file = file.ok_or_else(|| DatasetError::Missing { path: place.path.clone() })?;
            flock(&file, locked)?;
            let identity = Identity::of(&file.metadata().map_err(io_error(&path, "read"))?);
            let place = place.clone();
            let name = name.to_os_string();
            let lock = Lock { place, name, path: path.clone(), identity, locked: locked.to_path_buf(), file };
            // Its last holder may have removed the file between our opening and our locking it.
            match lock.check() {
                Err(DatasetError::Lost { .. }) => continue,
                other => other?,
            }
            Holder::this().write(&lock.file).map_err(io_error(&path, "write"))?;
            return Ok(lock);
        }
        Err(DatasetError::Lost { path: locked.to_path_buf() })
    }

    /// Compares the lock file at the path with the one that this process holds.
    pub(super) fn check(&self) -> Result<()> {
        match std::fs::symlink_metadata(&self.path) {
            Ok(there) if Identity::of(&there) == self.identity => Ok(()),
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Err(io_error(&self.path, "read")(error))
            }
            _ => Err(DatasetError::Lost { path: self.locked.clone() }),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Best effort: the next process can reuse a remaining lock file. Never remove another process's lock file.
        if self.check().is_ok() {
            let _ = self.place.remove(&self.name);
        }
        // A forked child has a copy of the open file, and would keep the lock.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

fn flock(file: &File, locked: &Path) -> Result<()> {
    let path = locked.to_path_buf();
    match retry_on_intr(|| rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(DatasetError::Busy { path, holder: Holder::describe(file) }),
        Err(error @ (Errno::NOTSUP | Errno::NOSYS | Errno::NOLCK)) => {
            Err(DatasetError::NoLocks { path, source: error.into() })
        }
        Err(error) => Err(io_error(&path, "lock")(error.into())),
    }
}
