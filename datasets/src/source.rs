//! Where bytes come from: the seam behind which object stores could go.
//!
//! Everything else asks a [`Source`] for its length, its footer and a reader; only this file opens data files.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::error::{DatasetError, Result, io_error};

/// A data file whose length was noted when its footer was read.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) size_bytes: u64,
}

const MAGIC: &[u8; 4] = b"PAR1";
const ENCRYPTED: &[u8; 4] = b"PARE";
/// Footer length and magic at the end of every Parquet file.
const TAIL_BYTES: u64 = 8;
const SMALLEST_BYTES: u64 = 12;

impl Source {
    /// Notes path and length.
    pub(crate) fn new(path: &Path) -> Result<Source> {
        let metadata = std::fs::metadata(path).map_err(io_error(path, "open"))?;
        Ok(Source { path: path.to_path_buf(), size_bytes: metadata.len() })
    }

    /// A reader of the whole file.
    ///
    /// # Errors
    /// [`DatasetError::Changed`] if the length is not what it was.
    pub(crate) fn open(&self) -> Result<File> {
        let file = File::open(&self.path).map_err(io_error(&self.path, "open"))?;
        let found_bytes = file.metadata().map_err(io_error(&self.path, "read"))?.len();
        if found_bytes != self.size_bytes {
            let (path, expected_bytes) = (self.path.clone(), self.size_bytes);
            return Err(DatasetError::Changed { path, expected_bytes, found_bytes });
        }
        Ok(file)
    }

    /// The encoded footer (without length and magic), after telling truncated files from foreign ones.
    pub(crate) fn footer(&self) -> Result<Vec<u8>> {
        if self.size_bytes == 0 {
            return Err(DatasetError::Empty { path: self.path.clone(), reason: "the file has no bytes".into() });
        }
        let mut file = self.open()?;
        let head = self.read_at(&mut file, 0, self.size_bytes.min(4))?;
        if head == ENCRYPTED {
            return Err(DatasetError::Unsupported { path: self.path.clone(), what: "an encrypted footer".into() });
        }
        if !MAGIC.starts_with(&head) {
            return Err(DatasetError::NotParquet { path: self.path.clone(), found: describe_head(&head) });
        }
        if self.size_bytes < SMALLEST_BYTES {
            return Err(self.truncated("it ends within the header"));
        }
        let tail = self.read_at(&mut file, self.size_bytes - TAIL_BYTES, TAIL_BYTES)?;
        if &tail[4..] != MAGIC {
            return Err(self.truncated("it does not end in a Parquet footer"));
        }
        let length = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
        let start = self.size_bytes - TAIL_BYTES;
        if length > start - 4 {
            return Err(self.truncated("its footer is longer than the file"));
        }
        self.read_at(&mut file, start - length, length)
    }

    /// The error for a file that stops too early.
    pub(crate) fn truncated(&self, reason: impl ToString) -> DatasetError {
        DatasetError::Truncated { path: self.path.clone(), size_bytes: self.size_bytes, reason: reason.to_string() }
    }

    fn read_at(&self, file: &mut File, offset: u64, length: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(offset)).map_err(io_error(&self.path, "read"))?;
        file.take(length).read_to_end(&mut bytes).map_err(io_error(&self.path, "read"))?;
        if bytes.len() as u64 == length {
            Ok(bytes)
        } else {
            Err(self.truncated("it became shorter while it was read"))
        }
    }
}

fn describe_head(head: &[u8]) -> String {
    let text = head.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    let shown: String = head.iter().flat_map(|byte| byte.escape_ascii()).map(char::from).collect();
    format!("it starts with {} \"{shown}\"", if text { "the text" } else { "the bytes" })
}
