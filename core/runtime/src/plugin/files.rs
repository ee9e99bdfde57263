//! The parameter `files` of a component. A plan has the path of a file or folder; the plugin gets the texts. It opens no
//! file itself, so that what was hashed is what it uses.

use std::path::{Path, PathBuf};

use anyflow_datasets::read_regular;
use serde_json::{Map, Value};

use crate::{Result, RunError};

/// The most bytes of all files together: vocabularies have a few MB.
const MOST_BYTES: u64 = 64 << 20;
/// Extensions of the files that are read from a folder, in which weights may be as well.
const EXTENSIONS: [&str; 2] = ["json", "txt"];

/// Texts by file name, and the hash of names and texts.
pub(crate) struct TextFiles {
    pub texts: Map<String, Value>,
    /// blake3, hexadecimal.
    pub blake3: String,
}

/// The name in a job of the files of `plugin/component`.
pub(crate) fn files_of(component: &str) -> String {
    format!("{component} files")
}

impl TextFiles {
    /// Reads a file, or the texts of a folder but not of its sub-folders.
    ///
    /// # Errors
    /// [`RunError::Io`], or [`RunError::Data`] if a file is no text or all are too large.
    pub fn read(path: &Path) -> Result<TextFiles> {
        let mut files = if path.is_dir() { texts_in(path)? } else { vec![path.to_path_buf()] };
        files.sort();
        let mut texts = Map::new();
        let mut hash = blake3::Hasher::new();
        let mut left = MOST_BYTES;
        for file in files {
            let bytes = read_regular(&file, left).map_err(|source| match source.kind() {
                std::io::ErrorKind::FileTooLarge => {
                    RunError::Data(format!("{}: has more than {} MB of text", path.display(), MOST_BYTES >> 20))
                }
                _ => failed(&file, source),
            })?;
            left -= bytes.len() as u64;
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            for part in [name.as_bytes(), bytes.as_slice()] {
                hash.update(&(part.len() as u64).to_le_bytes()).update(part);
            }
            let text = String::from_utf8(bytes)
                .map_err(|_| RunError::Data(format!("{}: is not a text in UTF-8", file.display())))?;
            texts.insert(name, text.into());
        }
        Ok(TextFiles { texts, blake3: hash.finalize().to_hex().to_string() })
    }
}

/// The texts of a folder, by their extensions.
fn texts_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|source| failed(folder, source))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(|source| failed(folder, source)));
    let mut paths = paths.collect::<Result<Vec<_>>>()?;
    let is_text =
        |path: &PathBuf| path.extension().is_some_and(|extension| EXTENSIONS.iter().any(|it| extension == *it));
    paths.retain(|path| is_text(path) && path.is_file());
    Ok(paths)
}

fn failed(path: &Path, source: std::io::Error) -> RunError {
    RunError::Io { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_a_folder_or_of_one_file_are_read_and_hashed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (name, bytes) in [("b.txt", "two"), ("a.json", "{}"), ("weights.bin", "\u{ff}")] {
            std::fs::write(path(name), bytes).unwrap();
        }
        std::fs::create_dir(path("sub.json")).unwrap();
        let read = TextFiles::read(folder.path()).unwrap();
        assert_eq!(Value::from(read.texts), serde_json::json!({"a.json": "{}", "b.txt": "two"}));
        let one = TextFiles::read(&path("b.txt")).unwrap();
        assert_eq!(Value::from(one.texts), serde_json::json!({"b.txt": "two"}));
        std::fs::rename(path("b.txt"), path("c.txt")).unwrap();
        let renamed = TextFiles::read(folder.path()).unwrap();
        assert!(read.blake3 != renamed.blake3 && read.blake3 != one.blake3);
        assert!(matches!(TextFiles::read(&path("b.txt")), Err(RunError::Io { .. })));
    }

    #[test]
    fn other_than_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.txt");
        std::fs::write(&file, [0xff, 0xfe]).unwrap();
        assert!(matches!(TextFiles::read(folder.path()), Err(RunError::Data(text)) if text.contains("UTF-8")));
        std::fs::File::create(&file).unwrap().set_len(MOST_BYTES + 1).unwrap();
        assert!(matches!(TextFiles::read(&file), Err(RunError::Data(text)) if text.contains("64 MB")));
    }
}
