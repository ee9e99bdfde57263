//! The source of bytes: only this file and the files below it open data files, on the disk or in a store.
//!
//! All other code asks a [`DataFile`] for its length, its footer and a reader.

mod version;

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{DatasetError, Result, io_error};
use crate::foreign;
use crate::regular::open_regular;
use crate::store::{Address, ObjectReader, ObjectStream, ObjectVersion};
pub(crate) use version::Version;

/// A data file, as it was when it was opened.
#[derive(Clone, Debug)]
pub(crate) struct DataFile {
    pub(crate) path: PathBuf,
    pub(crate) size_bytes: u64,
    place: Place,
}

/// Where a data file is, and its version there.
#[derive(Clone, Debug)]
enum Place {
    Disk(Version),
    Store { address: Address, version: ObjectVersion, tail: Bytes },
}

/// A data file that is open for reading.
#[derive(Clone)]
pub(crate) enum OpenFile {
    Disk(Arc<File>),
    Store(Arc<ObjectReader>),
}

const MAGIC: &[u8; 4] = b"PAR1";
const ENCRYPTED: &[u8; 4] = b"PARE";
/// Footer length and magic at the end of every Parquet file.
const TAIL_BYTES: u64 = 8;
const SMALLEST_BYTES: u64 = 12;
/// The longest footer; it takes several times its size in memory.
const MAX_FOOTER_BYTES: u64 = 64 << 20;
/// The end of an object that is read before its footer is known: most footers are in it.
const OBJECT_TAIL_BYTES: u64 = 64 << 10;

impl DataFile {
    /// Records path and version.
    pub(crate) fn new(path: &Path) -> Result<DataFile> {
        if let Some(address) = Address::parse(path)? {
            let version = address.version()?.ok_or_else(|| DatasetError::Missing { path: path.to_path_buf() })?;
            return Ok(DataFile::object(address, version));
        }
        let metadata = std::fs::metadata(path).map_err(io_error(path, "open"))?;
        if !metadata.is_file() {
            return Err(DatasetError::Empty {
                path: path.to_path_buf(),
                reason: "it is neither a file nor a folder".into(),
            });
        }
        let place = Place::Disk(Version::of(&metadata));
        Ok(DataFile { path: path.to_path_buf(), size_bytes: metadata.len(), place })
    }

    /// An object of this version.
    pub(crate) fn object(address: Address, version: ObjectVersion) -> DataFile {
        let (path, size_bytes) = (address.shown.clone(), version.size_bytes);
        DataFile { path, size_bytes, place: Place::Store { address, version, tail: Bytes::new() } }
    }

    /// Reads the ends of those files that are objects, many at once, so that their footers cost no round trip each.
    pub(crate) fn read_tails(files: &mut [DataFile]) -> Result<()> {
        let mut objects = Vec::new();
        let mut tails = Vec::new();
        for file in files {
            if let Place::Store { address, version, tail } = &mut file.place
                && version.size_bytes > 0
            {
                objects.push((address.clone(), version.size_bytes));
                tails.push(tail);
            }
        }
        let read = Address::tails(&objects, OBJECT_TAIL_BYTES)?;
        tails.into_iter().zip(read).for_each(|(tail, read)| *tail = read);
        Ok(())
    }

    /// Drops the end of an object, once its footer is read.
    pub(crate) fn forget_tail(&mut self) {
        if let Place::Store { tail, .. } = &mut self.place {
            *tail = Bytes::new();
        }
    }

    /// The object's version; `None` for a file of the disk.
    pub(crate) fn object_version(&self) -> Option<&ObjectVersion> {
        match &self.place {
            Place::Disk(_) => None,
            Place::Store { version, .. } => Some(version),
        }
    }

    /// A reader of these ranges, which holds about `limit` bytes at most if the file is in a store. On the disk any range can
    /// be read.
    ///
    /// # Errors
    /// As [`DataFile::open`].
    pub(crate) fn open_ranges(&self, ranges: Vec<Range<u64>>, limit: u64) -> Result<OpenFile> {
        match &self.place {
            Place::Disk(_) => Ok(OpenFile::Disk(Arc::new(self.open()?))),
            Place::Store { address, version, .. } => {
                let reader = ObjectReader::new(address.clone(), version.clone(), ranges, limit);
                Ok(OpenFile::Store(Arc::new(reader)))
            }
        }
    }

    /// The whole file, from its first byte on.
    ///
    /// # Errors
    /// As [`DataFile::open`].
    pub(crate) fn stream(&self) -> Result<Box<dyn Read>> {
        match &self.place {
            Place::Disk(_) => Ok(Box::new(self.open()?)),
            Place::Store { address, version, .. } => Ok(Box::new(ObjectStream::new(address.clone(), version.clone()))),
        }
    }

    /// A reader of the whole file of the disk.
    ///
    /// # Errors
    /// [`DatasetError::Changed`] if it is another file, or has another length or time of modification;
    /// [`DatasetError::Internal`] for an object.
    pub(crate) fn open(&self) -> Result<File> {
        let Place::Disk(version) = &self.place else {
            return Err(DatasetError::internal("opening a file", format!("{} is an object", self.path.display())));
        };
        let file = open_regular(&self.path).map_err(io_error(&self.path, "open"))?;
        let found = Version::of(&file.metadata().map_err(io_error(&self.path, "read"))?);
        if found.has_content_of(version) { Ok(file) } else { Err(self.changed(found.size_bytes)) }
    }

    /// Checks that the file still has the content that it had when it was opened.
    ///
    /// # Errors
    /// [`DatasetError::Changed`]; errors of [`DataFile::new`].
    pub(crate) fn check(&self) -> Result<()> {
        let Place::Store { address, version, .. } = &self.place else { return self.open().map(drop) };
        match address.version()? {
            Some(found) if found.has_content_of(version) => Ok(()),
            found => Err(self.changed(found.map_or(0, |found| found.size_bytes))),
        }
    }

    /// The length of the file now; 0 if it is gone.
    pub(crate) fn size_now(&self) -> u64 {
        match &self.place {
            Place::Disk(_) => std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len()),
            Place::Store { address, .. } => address.version().ok().flatten().map_or(0, |version| version.size_bytes),
        }
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
        let file = match &self.place {
            Place::Disk(_) => Some(self.open()?),
            Place::Store { .. } => None,
        };
        let read_at = |offset, length| self.read_at(file.as_ref(), offset, length);
        // The end of an object is at hand, its beginning is not.
        let ends_well = || -> Result<bool> {
            Ok(file.is_none() && read_at(self.size_bytes - MAGIC.len() as u64, MAGIC.len() as u64)? == MAGIC)
        };
        if self.size_bytes < SMALLEST_BYTES || !ends_well()? {
            self.check_head(&read_at(0, self.size_bytes.min(foreign::HEAD_BYTES))?)?;
        }
        if self.size_bytes < SMALLEST_BYTES {
            return Err(self.truncated("it ends within the header"));
        }
        let tail = read_at(self.size_bytes - TAIL_BYTES, TAIL_BYTES)?;
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
        read_at(start - length, length)
    }

    /// Refuses a file whose first bytes are not those of Parquet.
    fn check_head(&self, head: &[u8]) -> Result<()> {
        if head.starts_with(ENCRYPTED) {
            return Err(DatasetError::Unsupported { path: self.path.clone(), what: "an encrypted footer".into() });
        }
        let start = &head[..head.len().min(MAGIC.len())];
        if !MAGIC.starts_with(start) {
            let found = foreign::named(head).map_or_else(|| describe_head(start), str::to_string);
            return Err(DatasetError::NotParquet { path: self.path.clone(), found });
        }
        Ok(())
    }

    /// The error for a file that ends too early.
    pub(crate) fn truncated(&self, reason: impl ToString) -> DatasetError {
        DatasetError::Truncated { path: self.path.clone(), size_bytes: self.size_bytes, reason: reason.to_string() }
    }

    fn read_at(&self, file: Option<&File>, offset: u64, length: u64) -> Result<Vec<u8>> {
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => self.truncated("it became shorter while it was read"),
            _ => io_error(&self.path, "read")(error),
        };
        match (file, &self.place) {
            (Some(file), _) => {
                let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
                read_at(file, offset, &mut bytes).map_err(failed)?;
                Ok(bytes)
            }
            (None, Place::Store { address, version, tail }) => {
                let start = self.size_bytes - tail.len() as u64;
                if let Some(place) = offset.checked_sub(start).and_then(|place| usize::try_from(place).ok()) {
                    let end = place.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
                    return tail
                        .get(place..end)
                        .map(<[u8]>::to_vec)
                        .ok_or_else(|| self.truncated("its end is missing"));
                }
                let range = offset..offset + length;
                let reader = ObjectReader::new(address.clone(), version.clone(), vec![range.clone()], length);
                Ok(reader.read(range).map_err(failed)?.to_vec())
            }
            (None, Place::Disk(_)) => Err(DatasetError::internal("reading a file", "it is not open")),
        }
    }
}

impl OpenFile {
    /// The bytes of a range.
    ///
    /// # Errors
    /// The disk or the store; the file ends before, or is another version.
    pub(crate) fn read(&self, range: Range<u64>) -> std::io::Result<Bytes> {
        match self {
            OpenFile::Disk(file) => {
                let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
                read_at(file, range.start, &mut bytes)?;
                Ok(bytes.into())
            }
            OpenFile::Store(reader) => reader.read(range),
        }
    }
}

/// Fills `buffer` from `offset` of a file. May move the file's own position.
#[cfg(unix)]
fn read_at(file: &File, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

/// Fills `buffer` from `offset` of a file. May move the file's own position.
#[cfg(not(unix))]
fn read_at(mut file: &File, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
    use std::io::{Seek, SeekFrom};
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
