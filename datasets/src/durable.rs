//! Files that are there whole or not at all, whenever the power fails.
//!
//! The order is always: write under a temporary name, fsync the file, rename, fsync the folder. Only then may anything
//! else name the file.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Result, io_error};

const TEMPORARY: &str = ".tmp";

/// The name a file has until it is complete: hidden, so that no reader takes it for data.
pub(crate) fn temporary_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}{TEMPORARY}"))
}

/// True for names made by [`temporary_name`].
pub(crate) fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') && name.ends_with(TEMPORARY)
}

/// Creates the temporary file for `path`, emptying what a killed process left.
pub(crate) fn create_temporary(path: &Path) -> Result<File> {
    let temporary = temporary_name(path);
    File::create(&temporary).map_err(io_error(&temporary, "create"))
}

/// Gives a complete temporary file its name.
pub(crate) fn publish(file: &File, path: &Path) -> Result<()> {
    let temporary = temporary_name(path);
    file.sync_all().map_err(io_error(&temporary, "sync"))?;
    std::fs::rename(&temporary, path).map_err(io_error(path, "rename to"))?;
    sync_folder_of(path)
}

/// Writes a small file whole.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> Result<()> {
    let mut file = create_temporary(path)?;
    file.write_all(content).map_err(io_error(path, "write"))?;
    publish(&file, path)
}

/// Makes a folder that survives a power failure.
pub(crate) fn create_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(io_error(path, "create"))?;
    sync_folder_of(path)
}

/// Removes a file for good, if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_error(path, "remove")(error)),
        _ => sync_folder_of(path),
    }
}

fn sync_folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    // Only Unix can open a folder to sync it; elsewhere the rename alone has to do.
    if cfg!(unix) {
        let handle = File::open(folder).map_err(io_error(folder, "open"))?;
        handle.sync_all().map_err(io_error(folder, "sync"))?;
    }
    Ok(())
}
