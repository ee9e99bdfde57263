//! A folder by its handle: a moved or replaced folder is never taken for another one.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr};

use crate::error::{DatasetError, Result, io_error};
use crate::store::is_address;

const FILE_MODE: Mode = Mode::from_raw_mode(0o666);
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o777);

#[derive(Debug)]
pub(super) struct Place {
    handle: OwnedFd,
    /// The path as given, for messages.
    pub(super) path: PathBuf,
}

impl Place {
    pub(super) fn open(path: &Path) -> Result<Place> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = retry_on_intr(|| rustix::fs::openat(CWD, path, flags, Mode::empty()));
        Ok(Place { handle: handle.map_err(failed(path, "open"))?, path: path.to_path_buf() })
    }

    /// A sub-folder; `None` if it is missing.
    pub(super) fn below(&self, name: &OsStr) -> Result<Option<Place>> {
        let path = self.path.join(name);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match retry_on_intr(|| rustix::fs::openat(&self.handle, name, flags, Mode::empty())) {
            Ok(handle) => Ok(Some(Place { handle, path })),
            Err(Errno::NOENT) => Ok(None),
            // Systems return different errors for a link here.
            Err(Errno::LOOP | Errno::NOTDIR) if self.is_link(name)? => Err(DatasetError::Linked { path }),
            Err(error) => Err(failed(&path, "open")(error)),
        }
    }

    /// Creates a sub-folder that survives a power failure, unless it exists.
    pub(super) fn make(&self, name: &OsStr) -> Result<()> {
        match rustix::fs::mkdirat(&self.handle, name, FOLDER_MODE) {
            Ok(()) => self.sync(),
            // Whoever made it may have been killed before this.
            Err(Errno::EXIST) => self.below(name).and_then(|_| self.sync()),
            Err(error) => Err(failed(&self.path.join(name), "create")(error)),
        }
    }

    /// Creates a file; `None` if the name is taken.
    pub(super) fn create_new(&self, name: &OsStr) -> Result<Option<File>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match retry_on_intr(|| rustix::fs::openat(&self.handle, name, flags, FILE_MODE)) {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::EXIST) => Ok(None),
            Err(error) => Err(failed(&self.path.join(name), "create")(error)),
        }
    }

    /// Opens a regular file; `None` if there is nothing of this name.
    pub(super) fn open_file(&self, name: &OsStr, flags: OFlags) -> Result<Option<File>> {
        let path = self.path.join(name);
        // Without NONBLOCK a pipe of this name would make us wait for a writer.
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file: File = match retry_on_intr(|| rustix::fs::openat(&self.handle, name, flags, FILE_MODE)) {
            Ok(file) => file.into(),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(DatasetError::Linked { path }),
            Err(error) => return Err(failed(&path, "open")(error)),
        };
        if file.metadata().map_err(io_error(&path, "read"))?.is_file() {
            Ok(Some(file))
        } else {
            Err(failed(&path, "open")(Errno::INVAL))
        }
    }

    /// Gives a file a second name in another folder. `None` if the name is taken, false where links are impossible: on
    /// another file system, or on one without them.
    pub(super) fn link(&self, name: &OsStr, to: &Place, new: &OsStr) -> Result<Option<bool>> {
        match rustix::fs::linkat(&self.handle, name, &to.handle, new, AtFlags::empty()) {
            Ok(()) => Ok(Some(true)),
            Err(Errno::EXIST) => Ok(None),
            Err(Errno::XDEV | Errno::PERM | Errno::MLINK | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(Some(false)),
            Err(error) => Err(failed(&to.path.join(new), "create")(error)),
        }
    }

    pub(super) fn rename(&self, from: &OsStr, to: &OsStr) -> Result<()> {
        rustix::fs::renameat(&self.handle, from, &self.handle, to).map_err(failed(&self.path.join(to), "rename to"))
    }

    /// Durably removes a file, if it exists.
    pub(super) fn remove(&self, name: &OsStr) -> Result<()> {
        match rustix::fs::unlinkat(&self.handle, name, AtFlags::empty()) {
            Ok(()) => self.sync(),
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(failed(&self.path.join(name), "remove")(error)),
        }
    }

    /// Makes the names of the folder durable.
    pub(super) fn sync(&self) -> Result<()> {
        retry_on_intr(|| rustix::fs::fsync(&self.handle)).map_err(failed(&self.path, "sync"))
    }

    /// The metadata of a name, without following links; `None` if it does not exist.
    pub(super) fn stat(&self, name: &OsStr) -> Result<Option<Stat>> {
        match rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(failed(&self.path.join(name), "read")(error)),
        }
    }

    /// Names of the regular files, sorted. Omits names that are not UTF-8: none of them is ours.
    pub(super) fn files(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.handle).map_err(failed(&self.path, "list"))? {
            let entry = entry.map_err(failed(&self.path, "list"))?;
            let Ok(name) = OsString::from_vec(entry.file_name().to_bytes().to_vec()).into_string() else { continue };
            if self.kind(OsStr::new(&name))? == Some(FileType::RegularFile) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn kind(&self, name: &OsStr) -> Result<Option<FileType>> {
        Ok(self.stat(name)?.map(|stat| FileType::from_raw_mode(stat.st_mode)))
    }

    fn is_link(&self, name: &OsStr) -> Result<bool> {
        Ok(self.kind(name)? == Some(FileType::Symlink))
    }
}

/// Creates a folder and its parents, all of which survive a power failure.
pub(super) fn create_all(path: &Path) -> Result<()> {
    let above = folder_of(path);
    if path.is_dir() {
        // Its creator may have been killed before this. We may have no access to the parent.
        return Place::open(&above).map_or(Ok(()), |above| above.sync());
    }
    create_all(&above)?;
    match std::fs::create_dir(path) {
        Err(_) if path.is_dir() => Ok(()),
        Err(error) => Err(io_error(path, "create")(error)),
        Ok(()) => Place::open(&above)?.sync(),
    }
}

/// Refuses an address, of which the disk would make a folder called `s3:`.
pub(super) fn refuse_address(path: &Path) -> Result<()> {
    if is_address(path) {
        let reason = "only `anyflow run` writes to a store; write to the disk, then copy it".into();
        return Err(DatasetError::Address { path: path.to_path_buf(), reason });
    }
    Ok(())
}

/// The parent folder of a path.
pub(super) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

fn failed(path: &Path, action: &'static str) -> impl FnOnce(Errno) -> DatasetError {
    let path = path.to_path_buf();
    move |error| io_error(&path, action)(error.into())
}
