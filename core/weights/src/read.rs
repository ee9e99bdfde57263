//! Reads a file in one pass, with memory for the largest tensor.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use crate::CONTENT_KEY;
use crate::compressed::Frame;
use crate::content::ContentHasher;
use crate::error::{Result, WeightsError};
use crate::header::{Header, Metadata, TensorEntry, too_short};
use crate::summary::Summary;

const BUFFER_BYTES: usize = 1 << 20;

/// Opens a regular file. Reading a pipe or a device could block for ever.
///
/// # Errors
/// [`WeightsError::Read`]; [`WeightsError::Foreign`] if the path is a folder, a pipe or a device.
pub fn open(path: &Path) -> Result<File> {
    if !std::fs::metadata(path).map_err(WeightsError::Read)?.is_file() {
        return Err(WeightsError::foreign("it is not a regular file"));
    }
    File::open(path).map_err(WeightsError::Read)
}

/// Reads a safetensors file once and passes each tensor with its bytes to `each`, in file order. The data is only valid if the
/// whole call succeeds: the hash comes last.
///
/// # Errors
/// [`WeightsError`] if the file cannot be read, is not a safetensors file, or differs from its recorded hash; errors of
/// `each`.
pub fn read<E: From<WeightsError>>(
    file: File,
    each: impl FnMut(&TensorEntry, &[u8]) -> Result<(), E>,
) -> Result<Summary, E> {
    read_known(file, None, each)
}

/// As [`read()`], without hashing if the hash of the file is known.
pub(crate) fn read_known<E: From<WeightsError>>(
    file: File,
    known: Option<String>,
    each: impl FnMut(&TensorEntry, &[u8]) -> Result<(), E>,
) -> Result<Summary, E> {
    let (size_bytes, is_known) = (size(&file)?, known.is_some());
    let mut file = Hashed::new(BufReader::with_capacity(BUFFER_BYTES, file), known);
    let content = tensors(&mut file, size_bytes, is_known, each)?;
    Ok(content.summary(file))
}

/// Reads a compressed safetensors file like [`read_known`].
pub(crate) fn read_compressed<E: From<WeightsError>>(
    file: File,
    known: Option<String>,
    each: impl FnMut(&TensorEntry, &[u8]) -> Result<(), E>,
) -> Result<Summary, E> {
    let (size_bytes, is_known) = (size(&file)?, known.is_some());
    let mut frame = Frame::open(Hashed::new(file, known), size_bytes)?;
    let size_bytes = frame.size_bytes;
    let content = tensors(&mut frame, size_bytes, is_known, each)?;
    Ok(content.summary(frame.finish()?))
}

/// The length of an open file in bytes.
///
/// # Errors
/// [`WeightsError::Read`].
pub(crate) fn size(file: &File) -> Result<u64> {
    Ok(file.metadata().map_err(WeightsError::Read)?.len())
}

/// What a file holds beside its tensors.
struct Content {
    metadata: Metadata,
    /// True if the recorded hash is there and right.
    proven: bool,
}

impl Content {
    fn summary<R>(self, file: Hashed<R>) -> Summary {
        Summary { metadata: self.metadata, blake3: file.hash(), proven: self.proven }
    }
}

fn tensors<E: From<WeightsError>>(
    file: &mut impl Read,
    size_bytes: u64,
    is_known: bool,
    mut each: impl FnMut(&TensorEntry, &[u8]) -> Result<(), E>,
) -> Result<Content, E> {
    let header = Header::read(file, size_bytes)?;
    let recorded = header.metadata.get(CONTENT_KEY);
    // A file that was hashed before was compared with its own record then.
    let mut content = (recorded.is_some() && !is_known).then(ContentHasher::default);
    let mut bytes = Vec::new();
    for entry in &header.entries {
        bytes.resize(entry.size_bytes, 0);
        file.read_exact(&mut bytes).map_err(too_short)?;
        content.iter_mut().for_each(|content| content.add(entry, &bytes));
        each(entry, &bytes)?;
    }
    if let Some((expected, content)) = recorded.zip(content) {
        let found = content.finish(&header.metadata);
        if *expected != found {
            return Err(WeightsError::Damaged { expected: expected.clone(), found }.into());
        }
    }
    Ok(Content { proven: recorded.is_some(), metadata: header.metadata })
}

/// Reads a file and compares it with its recorded hash.
///
/// # Errors
/// See [`open`] and [`read()`].
pub fn verify(path: &Path) -> Result<Summary> {
    read(open(path)?, |_, _| Ok(()))
}

/// A reader that hashes the bytes it reads, unless their hash is known.
struct Hashed<R> {
    file: R,
    hasher: blake3::Hasher,
    known: Option<String>,
}

impl<R> Hashed<R> {
    fn new(file: R, known: Option<String>) -> Self {
        Hashed { file, hasher: blake3::Hasher::new(), known }
    }

    fn hash(self) -> String {
        self.known.unwrap_or_else(|| self.hasher.finalize().to_hex().to_string())
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        if self.known.is_none() {
            self.hasher.update(&buffer[..count]);
        }
        Ok(count)
    }
}
