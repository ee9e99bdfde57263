//! The files below a folder.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::super::left_out::Tally;
use crate::error::{Result, io_error};
use crate::natural::by_number;
use crate::spelling::nfc;

/// A file below a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its path, relative to the folder.
    pub(super) path: PathBuf,
    /// The same for people and metadata: composed, with `/`, bytes that are not UTF-8 as `\xe9`.
    pub(super) name: String,
}

impl Entry {
    fn below(folder: &str, path: &Path, file: &OsStr) -> Entry {
        Entry { path: path.join(file), name: format!("{folder}{}", shown(file)) }
    }
}

/// All files below `root`, in the natural order of names. Records skipped ones.
pub(super) fn files(root: &Path, left_out: &mut Tally) -> Result<Vec<Entry>> {
    let mut files = Vec::new();
    walk(root, &Entry { path: PathBuf::new(), name: String::new() }, &mut files, left_out)?;
    files.sort_by(|a, b| by_number(Path::new(&a.name), Path::new(&b.name)));
    Ok(files)
}

fn walk(root: &Path, folder: &Entry, files: &mut Vec<Entry>, left_out: &mut Tally) -> Result<()> {
    let place = root.join(&folder.path);
    for entry in std::fs::read_dir(&place).map_err(io_error(&place, "open"))? {
        let entry = entry.map_err(io_error(&place, "list"))?;
        let found = Entry::below(&folder.name, &folder.path, &entry.file_name());
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            left_out.note("hidden", &found.name);
        } else if !path.is_dir() {
            files.push(found);
        } else if path.is_symlink() {
            // Links to folders could form cycles.
            left_out.note("linked to a folder", &found.name);
        } else {
            walk(root, &Entry { name: format!("{}/", found.name), ..found }, files, left_out)?;
        }
    }
    Ok(())
}

/// A file's name as text.
fn shown(name: &OsStr) -> String {
    match name.to_str() {
        Some(text) => nfc(text),
        None => name.as_encoded_bytes().escape_ascii().to_string(),
    }
}
