//! Where names are looked up: on the disk, or in the listing of a store.

use std::path::{Path, PathBuf};

use super::entry::{Entry, Kind};
use super::stored::Listed;
use super::{braces, there};
use crate::error::{DatasetError, Result, io_error};
use crate::natural::by_number;
use crate::regular::read_regular;
use crate::store::{Address, is_address};

/// Where names are looked up.
pub(super) enum Tree {
    Disk,
    Store(Listed),
}

impl Tree {
    /// Where a path is looked up. A store lists what is below it, once.
    pub(super) fn of(path: &Path) -> Result<Tree> {
        Address::parse(path)?.map_or(Ok(Tree::Disk), |address| Listed::below(address).map(Tree::Store))
    }

    /// What is at a path; `None` if nothing is.
    pub(super) fn kind(&self, path: &Path) -> Result<Option<Kind>> {
        match self {
            Tree::Disk if !there(path)? => Ok(None),
            Tree::Disk => {
                let metadata = std::fs::metadata(path).map_err(io_error(path, "open"))?;
                Ok(Some(if metadata.is_dir() { Kind::Folder } else { Kind::File }))
            }
            Tree::Store(listed) => listed.kind(path),
        }
    }

    /// True if anything is at a path.
    pub(super) fn has(&self, path: &Path) -> Result<bool> {
        match self {
            Tree::Disk => there(path),
            Tree::Store(listed) => Ok(listed.kind(path)?.is_some()),
        }
    }

    /// The length of a file; `None` if there is none.
    pub(super) fn size(&self, path: &Path) -> Result<Option<u64>> {
        match self {
            Tree::Disk => match std::fs::metadata(path) {
                Ok(found) => Ok(found.is_file().then_some(found.len())),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(io_error(path, "read")(error)),
            },
            Tree::Store(listed) => Ok(listed.version(path).map(|version| version.size_bytes)),
        }
    }

    /// What lies directly in a folder. Links to folders, which could form cycles, are left out, and so is what is neither
    /// a file nor a folder.
    pub(super) fn entries(&self, folder: &Path) -> Result<Vec<Entry>> {
        let Tree::Store(listed) = self else { return entries_on_disk(folder) };
        Ok(listed.entries(folder))
    }

    /// The text of a file of at most `most` bytes; `None` for anything else.
    pub(super) fn text(&self, path: &Path, most: u64) -> Result<Option<String>> {
        let bytes = match self {
            Tree::Disk => {
                if !std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= most) {
                    return Ok(None);
                }
                read_regular(path, most).map_err(io_error(path, "read"))?
            }
            Tree::Store(listed) => match listed.read(path, most)? {
                Some(bytes) => bytes,
                None => return Ok(None),
            },
        };
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The path without links and `..`.
    pub(super) fn real(&self, path: &Path) -> Result<PathBuf> {
        match self {
            Tree::Disk => path.canonicalize().map_err(io_error(path, "open")),
            Tree::Store(_) => Ok(path.to_path_buf()),
        }
    }

    /// The files and folders that a pattern below a folder matches, in no order.
    pub(super) fn glob(&self, folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, glob::PatternError> {
        match self {
            Tree::Disk => {
                let escaped = glob::Pattern::escape(&folder.display().to_string());
                Ok(glob::glob(&format!("{escaped}/{pattern}"))?.filter_map(|path| path.ok()).collect())
            }
            Tree::Store(listed) => listed.matches(folder, &glob::Pattern::new(pattern)?),
        }
    }
}

fn entries_on_disk(folder: &Path) -> Result<Vec<Entry>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io_error(folder, "list"))? {
        let path = entry.map_err(io_error(folder, "list"))?.path();
        let is_link = path.is_symlink();
        if path.is_dir() && !is_link {
            found.push(Entry { path, kind: Kind::Folder });
        } else if path.is_file() {
            found.push(Entry { path, kind: Kind::File });
        }
    }
    Ok(found)
}

/// The files and folders that a pattern matches, in natural order.
pub(crate) fn matches_of(pattern: &Path) -> Result<Vec<PathBuf>> {
    let missing = || DatasetError::Missing { path: pattern.to_path_buf() };
    let refused = |reason: String| DatasetError::Empty { path: pattern.to_path_buf(), reason };
    let text = pattern.to_str().ok_or_else(missing)?;
    let names = braces::expanded(text);
    if names.len() == 1 && !text.contains(['*', '?', '[']) {
        return Err(missing());
    }
    let mut found = Vec::new();
    for name in names {
        let matches = matches_of_one(&name)?;
        let before = found.len();
        found.extend(matches);
        if found.len() == before {
            return Err(refused(if name == text {
                "no file matches this pattern".into()
            } else {
                format!("there is no {name}")
            }));
        }
    }
    found.sort_by(|a, b| by_number(a, b));
    Ok(found)
}

/// The matches of a pattern without braces.
fn matches_of_one(pattern: &str) -> Result<Vec<PathBuf>> {
    let refused = |error: glob::PatternError| DatasetError::Empty {
        path: pattern.into(),
        reason: format!("it is not a pattern of file names: {error}"),
    };
    if !is_address(Path::new(pattern)) {
        return Ok(glob::glob(pattern).map_err(refused)?.filter_map(|path| path.ok()).collect());
    }
    // The folder above the first name with a special character is listed.
    let special = pattern.find(['*', '?', '[']).unwrap_or(pattern.len());
    let slash = pattern[..special].rfind('/').unwrap_or(0);
    let folder = Path::new(&pattern[..slash]);
    Tree::of(folder)?.glob(folder, &pattern[slash + 1..]).map_err(refused)
}
