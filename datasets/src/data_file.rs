//! The source of bytes. Only this file opens data files, so object stores could be added here.
//!
//! All other code asks a [`DataFile`] for its length, its footer and a reader.

mod version;

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::{DatasetError, Result, io_error};
use crate::foreign;
pub(crate) use version::Version;

/// A data file, as it was when it was opened.
#[derive(Clone, Debug)]
pub(crate) struct DataFile {
    pub(crate) path: PathBuf,
    pub(crate) size_bytes: u64,
    pub(crate) version: Version,
}

const MAGIC: &[u8; 4] = b"PAR1";
const ENCRYPTED: &[u8; 4] = b"PARE";
/// Footer length and magic at the end of every Parquet file.
const TAIL_BYTES: u64 = 8;
const SMALLEST_BYTES: u64 = 12;
/// The longest footer; it takes several times its size in memory.
const MAX_FOOTER_BYTES: u64 = 64 << 20;

impl DataFile {
    /// Records path and version.
    pub(crate) fn new(path: &Path) -> Result<DataFile> {
        let metadata = std::fs::metadata(path).map_err(io_error(path, "open"))?;
        if !metadata.is_file() {
            return Err(DatasetError::Empty {
                path: path.to_path_buf(),
                reason: "it is neither a file nor a folder".into(),
            });
        }
        Ok(DataFile { path: path.to_path_buf(), size_bytes: metadata.len(), version: Version::of(&metadata) })
    }

    /// A reader of the whole file.
    ///
    /// # Errors
    /// [`DatasetError::Changed`] if it is another file, or has another length or time of modification.
    pub(crate) fn open(&self) -> Result<File> {
        let file = File::open(&self.path).map_err(io_error(&self.path, "open"))?;
        let found = Version::of(&file.metadata().map_err(io_error(&self.path, "read"))?);
        if found.has_content_of(&self.version) { Ok(file) } else { Err(self.changed(found.size_bytes)) }
    }

    /// The error for a file of another version.
    pub(crate) fn changed(&self, found_bytes: u64) -> DatasetError {
        DatasetError::Changed { path: self.path.clone(), expected_bytes: self.size_bytes, found_bytes }
    }

    /// The encoded footer (without length and magic). Distinguishes truncated files from other formats.
    pub(crate) fn footer(&self) -> Result<Vec<u8>> {
        if self.size_bytes == 0 {
            return Err(DatasetError::Empty { path: self.path.clone(), reason: "the file has no bytes".into() });
        }
        let file = self.open()?;
        let head = self.read_at(&file, 0, self.size_bytes.min(foreign::HEAD_BYTES))?;
        if head.starts_with(ENCRYPTED) {
            return Err(DatasetError::Unsupported { path: self.path.clone(), what: "an encrypted footer".into() });
        }
        let start = &head[..head.len().min(MAGIC.len())];
        if !MAGIC.starts_with(start) {
            let found = foreign::named(&head).map_or_else(|| describe_head(start), str::to_string);
            return Err(DatasetError::NotParquet { path: self.path.clone(), found });
        }
        if self.size_bytes < SMALLEST_BYTES {
            return Err(self.truncated("it ends within the header"));
        }
        let tail = self.read_at(&file, self.size_bytes - TAIL_BYTES, TAIL_BYTES)?;
        if &tail[4..] != MAGIC {
            return Err(self.truncated("it does not end in a Parquet footer"));
        }
        let length = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
        let start = self.size_bytes - TAIL_BYTES;
        if length > start - 4 {
            return Err(self.truncated("its footer is longer than the file"));
        }
        if length > MAX_FOOTER_BYTES {
            let what = format!("a footer of {length} bytes (the most is {MAX_FOOTER_BYTES})");
            return Err(DatasetError::Unsupported { path: self.path.clone(), what });
        }
        self.read_at(&file, start - length, length)
    }

    /// The error for a file that ends too early.
    pub(crate) fn truncated(&self, reason: impl ToString) -> DatasetError {
        DatasetError::Truncated { path: self.path.clone(), size_bytes: self.size_bytes, reason: reason.to_string() }
    }

    fn read_at(&self, file: &File, offset: u64, length: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        read_at(file, offset, &mut bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => self.truncated("it became shorter while it was read"),
            _ => io_error(&self.path, "read")(error),
        })?;
        Ok(bytes)
    }
}

/// Fills `buffer` from `offset` of a file. May move the file's own position.
#[cfg(unix)]
pub(crate) fn read_at(file: &File, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

/// Fills `buffer` from `offset` of a file. May move the file's own position.
#[cfg(not(unix))]
pub(crate) fn read_at(mut file: &File, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(buffer)
}

fn describe_head(head: &[u8]) -> String {
    let text = head.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    let shown: String = head.iter().flat_map(|byte| byte.escape_ascii()).map(char::from).collect();
    let kind = if text { "the text" } else { "the bytes" };
    format!("it starts with {kind} \"{shown}\"; convert it with `anyflow data import`")
}

/// The last part of a path, for messages.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
