//! A wheel is a zip file with a list of its files and their hashes.

use std::fs;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zip::write::FileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// A file of the wheel.
pub struct Entry {
    /// Its path in the wheel, with `/`.
    pub name: String,
    /// True for programs.
    pub is_executable: bool,
    contents: Contents,
}

enum Contents {
    Bytes(Vec<u8>),
    File(PathBuf),
}

impl Entry {
    /// A file with these contents.
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Entry { name: name.into(), is_executable: false, contents: Contents::Bytes(bytes.into()) }
    }

    /// The files below a folder in order of their names, as files of the wheel below `inside`.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub fn below(folder: &Path, inside: &Path) -> Result<Vec<Entry>> {
        let read = || format!("cannot read {}", folder.display());
        let mut found: Vec<_> = fs::read_dir(folder).and_then(Iterator::collect).with_context(read)?;
        found.sort_by_key(fs::DirEntry::file_name);
        let mut entries = Vec::new();
        for file in found {
            let place = inside.join(file.file_name());
            if file.path().is_dir() {
                entries.extend(Self::below(&file.path(), &place)?);
            } else {
                let name = place.to_str().with_context(|| format!("{} is not UTF-8", place.display()))?.to_owned();
                entries.push(Entry { name, is_executable: false, contents: Contents::File(file.path()) });
            }
        }
        Ok(entries)
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        match &self.contents {
            Contents::Bytes(bytes) => Ok(bytes.clone()),
            Contents::File(path) => fs::read(path).with_context(|| format!("cannot read {}", path.display())),
        }
    }
}

/// A wheel that is being written. Times are constant, so that the same files give the same bytes.
pub struct Archive<W: Write + Seek> {
    zip: ZipWriter<W>,
    level: i32,
    record: String,
}

impl<W: Write + Seek> Archive<W> {
    /// An empty wheel. Making it small takes about ten times as long.
    pub fn new(to: W, is_small: bool) -> Self {
        Archive { zip: ZipWriter::new(to), level: if is_small { 9 } else { 1 }, record: String::new() }
    }

    /// Adds a file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or the wheel cannot be written.
    pub fn add(&mut self, entry: &Entry) -> Result<()> {
        let bytes = entry.bytes()?;
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(&bytes));
        self.record += &format!("{},sha256={hash},{}\n", entry.name, bytes.len());
        self.store(&entry.name, entry.is_executable, &bytes)
    }

    /// Adds the list of all files, which has no hash of its own.
    ///
    /// # Errors
    ///
    /// The wheel cannot be written.
    pub fn finish(mut self, record: &str) -> Result<()> {
        self.record += &format!("{record},,\n");
        let list = std::mem::take(&mut self.record);
        self.store(record, false, list.as_bytes())?;
        self.zip.finish()?.flush()?;
        Ok(())
    }

    fn store(&mut self, name: &str, is_executable: bool, bytes: &[u8]) -> Result<()> {
        let options = FileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(self.level))
            .last_modified_time(DateTime::default())
            .unix_permissions(if is_executable { 0o755 } else { 0o644 });
        self.zip.start_file(name, options)?;
        self.zip.write_all(bytes).with_context(|| format!("cannot write {name}"))
    }
}
