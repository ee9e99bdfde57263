//! A file that gets its name only when it is complete and durable.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::OFlags;

use super::lock::Lock;
use super::place::{self, Place, folder_of};
use crate::error::{DatasetError, Result, io_error};
use crate::failpoint;

/// Endings of temporary names. They differ, so that the owner of a folder never removes a single file that another
/// process is writing there.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    InFolder,
    Beside,
}

impl Ending {
    fn text(self) -> &'static str {
        match self {
            Ending::InFolder => ".tmp",
            Ending::Beside => ".part",
        }
    }
}

/// A file with a unique hidden temporary name. Dropping it without [`NewFile::publish`] removes it.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    place: Arc<Place>,
    lock: Arc<Lock>,
    temporary: OsString,
    name: OsString,
    renamed: bool,
}

impl NewFile {
    /// Starts a single output file. Its lock is `.NAME.lock` in the same folder, and is removed when the file is done.
    ///
    /// # Errors
    /// [`DatasetError::Busy`] while another process writes the same file, [`DatasetError::NoLocks`],
    /// [`DatasetError::Io`], [`DatasetError::Address`] for an address.
    pub fn beside(path: &Path) -> Result<NewFile> {
        place::refuse_address(path)?;
        let name = path.file_name().ok_or_else(|| DatasetError::Io {
            path: path.to_path_buf(),
            action: "create",
            source: std::io::ErrorKind::InvalidFilename.into(),
        })?;
        if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            let source = std::io::Error::other("the existing file is not a regular file");
            return Err(io_error(path, "create")(source));
        }
        let place = Arc::new(Place::open(&folder_of(path))?);
        let lock = Arc::new(Lock::acquire(&place, &joined([".".as_ref(), name, ".lock".as_ref()]), path)?);
        for leftover in place.files()?.iter().filter(|leftover| is_leftover_of(leftover, name)) {
            place.remove(OsStr::new(leftover))?;
        }
        Self::create(place, lock, name, Ending::Beside)
    }

    pub(super) fn create(place: Arc<Place>, lock: Arc<Lock>, name: &OsStr, ending: Ending) -> Result<NewFile> {
        loop {
            let temporary = temporary_name(name, ending);
            if let Some(file) = place.create_new(&temporary)? {
                failpoint::reach("file-created");
                return Ok(NewFile { file, place, lock, temporary, name: name.to_os_string(), renamed: false });
            }
        }
    }

    /// A second name of a file of another folder; `None` where links are impossible.
    pub(super) fn linked(from: &Place, place: Arc<Place>, lock: Arc<Lock>, name: &OsStr) -> Result<Option<NewFile>> {
        loop {
            let temporary = temporary_name(name, Ending::InFolder);
            match from.link(name, &place, &temporary)? {
                None => {}
                Some(false) => return Ok(None),
                Some(true) => {
                    let missing = || DatasetError::Missing { path: place.path.join(&temporary) };
                    let file = place.open_file(&temporary, OFlags::RDONLY)?.ok_or_else(missing)?;
                    return Ok(Some(NewFile {
                        file,
                        place,
                        lock,
                        temporary,
                        name: name.to_os_string(),
                        renamed: false,
                    }));
                }
            }
        }
    }

    /// The final path.
    pub fn path(&self) -> PathBuf {
        self.place.path.join(&self.name)
    }

    /// Makes the file durable and gives it its name. Replaces an existing file.
    ///
    /// # Errors
    /// [`DatasetError::Lost`] if the folder or its lock was removed or replaced, [`DatasetError::Io`].
    pub fn publish(mut self) -> Result<()> {
        failpoint::reach("file-written");
        self.file.sync_all().map_err(io_error(&self.path(), "sync"))?;
        failpoint::reach("file-synced");
        self.lock.check()?;
        self.place.rename(&self.temporary, &self.name)?;
        self.renamed = true;
        failpoint::reach("file-renamed");
        self.place.sync()?;
        failpoint::reach("file-published");
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.renamed {
            // Best effort: the next writer removes leftovers.
            let _ = self.place.remove(&self.temporary);
        }
    }
}

/// True for the temporary names of a folder's own files.
pub(super) fn is_temporary(name: &str) -> bool {
    marked(name, Ending::InFolder).is_some()
}

fn is_leftover_of(leftover: &str, name: &OsStr) -> bool {
    marked(leftover, Ending::Beside).is_some_and(|of| OsStr::new(of) == name)
}

/// `.NAME.PID-COUNT` with the ending; hidden, so that readers do not take it for data.
fn temporary_name(name: &OsStr, ending: Ending) -> OsString {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mark = format!(".{:x}-{:x}{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed), ending.text());
    joined([".".as_ref(), name, mark.as_ref()])
}

/// The NAME in a temporary name.
fn marked(temporary: &str, ending: Ending) -> Option<&str> {
    let (name, mark) = temporary.strip_prefix('.')?.strip_suffix(ending.text())?.rsplit_once('.')?;
    let (pid, count) = mark.split_once('-')?;
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (!name.is_empty() && hex(pid) && hex(count)).then_some(name)
}

fn joined<const N: usize>(parts: [&OsStr; N]) -> OsString {
    parts.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_temporary_names_are_recognized() {
        let name = temporary_name("shard-00001.parquet".as_ref(), Ending::InFolder).into_string().unwrap();
        assert!(is_temporary(&name), "{name}");
        assert_eq!(marked(&name, Ending::InFolder), Some("shard-00001.parquet"));
        for foreign in
            [".notes.tmp", "notes.1-2.tmp", ".notes.x-2.tmp", ".1-2.tmp", "..1-2.tmp", ".a.1-2.part", ".a.-2.tmp"]
        {
            assert!(!is_temporary(foreign), "{foreign}");
        }
    }
}
