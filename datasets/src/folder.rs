//! A folder with a single writing process, and files that are complete or absent, whenever the power fails.
//!
//! The process holds the folder by its handle, and names every file relative to it. A lock identifies the writer.
//! Writing always takes these steps: write under a unique temporary name, fsync the file, compare the lock, rename,
//! fsync the folder. Only then may another file name the new one.

mod holder;
mod lock;
mod new_file;
mod place;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;

pub use new_file::NewFile;

use crate::error::{DatasetError, Result, io_error};
use crate::failpoint;
use holder::Holder;
use lock::Lock;
use new_file::Ending;
use place::Place;

const LOCK_FILE: &str = ".lock";

/// A folder that only this process writes to, until it is dropped.
///
/// Names are relative to the folder: `manifest.json`, or with one sub-folder `stages/00-text.state`. Links are not
/// followed inside of the folder; the folder itself may be a link.
#[derive(Clone, Debug)]
pub struct Folder {
    place: Arc<Place>,
    lock: Arc<Lock>,
}

impl Folder {
    /// Creates the folder if necessary, and locks it.
    ///
    /// # Errors
    /// [`DatasetError::Busy`] while another process (or another `Folder` of this process) has it,
    /// [`DatasetError::NoLocks`] if the file system has no locks, [`DatasetError::Io`], [`DatasetError::Address`] for an
    /// address.
    pub fn open(path: &Path) -> Result<Folder> {
        place::refuse_address(path)?;
        place::create_all(path)?;
        let place = Arc::new(Place::open(path)?);
        let lock = Arc::new(Lock::acquire(&place, OsStr::new(LOCK_FILE), path)?);
        failpoint::reach("locked");
        Ok(Folder { place, lock })
    }

    /// The path, as given.
    pub fn path(&self) -> &Path {
        &self.place.path
    }

    /// Checks that this process may still write here. Publishing a file includes this check.
    ///
    /// # Errors
    /// [`DatasetError::Lost`] if the folder or its lock was removed or replaced.
    pub fn check(&self) -> Result<()> {
        self.lock.check()
    }

    /// Starts a file, which gets its name when it is published.
    ///
    /// # Errors
    /// [`DatasetError::Lost`], [`DatasetError::Io`]; [`DatasetError::Linked`] for a link in place of the sub-folder.
    pub fn create(&self, name: &str) -> Result<NewFile> {
        self.check()?;
        let (place, name) = self.locate(name)?;
        let place = place.ok_or_else(|| DatasetError::Missing { path: self.path().join(name) })?;
        NewFile::create(place, self.lock.clone(), OsStr::new(name), Ending::InFolder)
    }

    /// Writes a complete small file.
    ///
    /// # Errors
    /// As [`Folder::create`] and [`NewFile::publish`].
    pub fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        let mut file = self.create(name)?;
        file.write_all(content).map_err(io_error(&file.path(), "write"))?;
        file.publish()
    }

    /// Takes a file of another folder over, under the same name: as a second name of the same bytes where the file
    /// system has links, otherwise as a copy. The other folder keeps it.
    ///
    /// # Errors
    /// As [`Folder::create`] and [`NewFile::publish`]; [`DatasetError::Missing`] if the other folder has no such file.
    pub fn take(&self, from: &Folder, name: &str) -> Result<()> {
        self.check()?;
        let missing = |folder: &Folder| DatasetError::Missing { path: folder.path().join(name) };
        let (source, file) = from.locate(name)?;
        let source = source.ok_or_else(|| missing(from))?;
        let target = self.locate(name)?.0.ok_or_else(|| missing(self))?;
        if let Some(linked) = NewFile::linked(&source, target, self.lock.clone(), OsStr::new(file))? {
            return linked.publish();
        }
        let mut read = from.open_file(name)?.ok_or_else(|| missing(from))?;
        let mut copy = self.create(name)?;
        std::io::copy(&mut read, &mut copy).map_err(io_error(&copy.path(), "write"))?;
        copy.publish()
    }

    /// Removes files that `is_ours` names from a sub-folder (the folder itself for an empty name), and the sub-folder if
    /// nothing else is in it.
    ///
    /// # Errors
    /// As [`Folder::remove`].
    pub(crate) fn clear(&self, sub_folder: &str, is_ours: impl Fn(&str) -> bool) -> Result<()> {
        self.remove_files(sub_folder, is_ours)?;
        if !sub_folder.is_empty() {
            // Files of others keep the folder.
            let _ = std::fs::remove_dir(self.path().join(sub_folder));
        }
        Ok(())
    }

    /// The content of a regular file; `None` if there is nothing of this name.
    ///
    /// # Errors
    /// [`DatasetError::Io`] for any failure but a missing file, [`DatasetError::Linked`].
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(mut file) = self.open_file(name)? else { return Ok(None) };
        let mut content = Vec::new();
        file.read_to_end(&mut content).map_err(io_error(&self.path().join(name), "read"))?;
        Ok(Some(content))
    }

    /// Opens a regular file for reading; `None` if there is nothing of this name.
    ///
    /// # Errors
    /// As [`Folder::read`].
    pub fn open_file(&self, name: &str) -> Result<Option<File>> {
        match self.locate(name)? {
            (Some(place), name) => place.open_file(OsStr::new(name), OFlags::RDONLY),
            (None, _) => Ok(None),
        }
    }

    /// Length of a regular file; `None` if there is nothing of this name.
    ///
    /// # Errors
    /// As [`Folder::read`].
    pub fn length(&self, name: &str) -> Result<Option<u64>> {
        let Some(file) = self.open_file(name)? else { return Ok(None) };
        file.metadata().map(|metadata| Some(metadata.len())).map_err(io_error(&self.path().join(name), "read"))
    }

    /// Opens a file to append to it, and creates it if necessary.
    ///
    /// # Errors
    /// As [`Folder::read`], and [`Folder::check`].
    pub fn append(&self, name: &str) -> Result<File> {
        self.check()?;
        let (place, name) = self.locate(name)?;
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
        let file = place.map(|place| place.open_file(OsStr::new(name), flags)).transpose()?.flatten();
        file.ok_or_else(|| DatasetError::Missing { path: self.path().join(name) })
    }

    /// Makes data appended to a file survive a power failure, if the file exists.
    ///
    /// # Errors
    /// As [`Folder::read`].
    pub fn sync(&self, name: &str) -> Result<()> {
        let (Some(place), file) = self.locate(name)? else { return Ok(()) };
        let Some(file) = place.open_file(OsStr::new(file), OFlags::RDONLY)? else { return Ok(()) };
        file.sync_all().map_err(io_error(&self.path().join(name), "sync"))?;
        place.sync()
    }

    /// True if there is anything of this name.
    ///
    /// # Errors
    /// As [`Folder::read`].
    pub fn has(&self, name: &str) -> Result<bool> {
        let (place, name) = self.locate(name)?;
        let stat = place.map(|place| place.stat(OsStr::new(name))).transpose()?;
        Ok(stat.flatten().is_some())
    }

    /// Creates a sub-folder that survives a power failure, unless it exists.
    ///
    /// # Errors
    /// [`DatasetError::Linked`] for a link in its place, [`DatasetError::Io`].
    pub fn make_folder(&self, name: &str) -> Result<()> {
        self.check()?;
        let (place, name) = self.locate(name)?;
        let place = place.ok_or_else(|| DatasetError::Missing { path: self.path().join(name) })?;
        place.make(OsStr::new(name))
    }

    /// Durably removes a file, if it exists.
    ///
    /// # Errors
    /// [`DatasetError::Lost`], [`DatasetError::Io`], [`DatasetError::Linked`] for a link in place of the sub-folder.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.check()?;
        match self.locate(name)? {
            (Some(place), name) => place.remove(OsStr::new(name)),
            (None, _) => Ok(()),
        }
    }

    /// Names of the regular files of a sub-folder (of the folder itself for an empty name), sorted.
    ///
    /// # Errors
    /// As [`Folder::read`].
    pub fn files(&self, sub_folder: &str) -> Result<Vec<String>> {
        let place = match sub_folder {
            "" => Some(self.place.clone()),
            name => self.place.below(OsStr::new(name))?.map(Arc::new),
        };
        place.map_or(Ok(Vec::new()), |place| place.files())
    }

    /// Removes temporary files of killed processes from a sub-folder (the folder itself for an empty name).
    ///
    /// # Errors
    /// As [`Folder::remove`].
    pub fn sweep(&self, sub_folder: &str) -> Result<()> {
        self.remove_files(sub_folder, new_file::is_temporary)
    }

    /// Names of the temporary files of killed processes in a sub-folder (the folder itself for an empty name).
    ///
    /// # Errors
    /// As [`Folder::read`].
    pub(crate) fn temporary_files(&self, sub_folder: &str) -> Result<Vec<String>> {
        Ok(self.files(sub_folder)?.into_iter().filter(|name| new_file::is_temporary(name)).collect())
    }

    fn remove_files(&self, sub_folder: &str, is_chosen: impl Fn(&str) -> bool) -> Result<()> {
        let path = |name: String| if sub_folder.is_empty() { name } else { format!("{sub_folder}/{name}") };
        let chosen = self.files(sub_folder)?.into_iter().filter(|name| is_chosen(name));
        chosen.map(path).try_for_each(|name| self.remove(&name))
    }

    /// The process that writes to a folder, as a phrase; `None` if there is none. Takes no lock. A process of another
    /// machine counts as running.
    pub fn holder(path: &Path) -> Option<String> {
        Holder::running(&path.join(LOCK_FILE))
    }

    /// This process, as a phrase.
    pub(crate) fn this_process() -> String {
        Holder::this().phrase()
    }

    /// The folder of a name (`None` if it is missing) and the last part of the name.
    fn locate<'n>(&self, name: &'n str) -> Result<(Option<Arc<Place>>, &'n str)> {
        let parts: Vec<&str> = name.split('/').collect();
        if parts.iter().any(|part| matches!(*part, "" | "." | ".." | LOCK_FILE)) {
            return Err(DatasetError::internal("naming a file of a folder", format!("{name:?} is not a name")));
        }
        match parts.as_slice() {
            [name] => Ok((Some(self.place.clone()), name)),
            [sub_folder, name] => Ok((self.place.below(OsStr::new(sub_folder))?.map(Arc::new), name)),
            _ => Err(DatasetError::internal("naming a file of a folder", format!("{name:?} is too deep"))),
        }
    }
}
