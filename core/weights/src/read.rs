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
    let size_bytes = size(&file)?;
    let mut file = Hashed::new(BufReader::with_capacity(BUFFER_BYTES, file));
    let content = tensors(&mut file, size_bytes, each)?;
    Ok(content.summary(file))
}

/// Reads a compressed safetensors file like [`read()`].
pub(crate) fn read_compressed<E: From<WeightsError>>(
    file: File,
    each: impl FnMut(&TensorEntry, &[u8]) -> Result<(), E>,
) -> Result<Summary, E> {
    let size_bytes = size(&file)?;
    let mut frame = Frame::open(Hashed::new(file), size_bytes)?;
    let size_bytes = frame.size_bytes;
    let content = tensors(&mut frame, size_bytes, each)?;
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
        let blake3 = file.hasher.finalize().to_hex().to_string();
        Summary { metadata: self.metadata, blake3, proven: self.proven }
    }
}

fn tensors<E: From<WeightsError>>(
    file: &mut impl Read,
    size_bytes: u64,
    mut each: impl FnMut(&TensorEntry, &[u8]) -> Result<(), E>,
) -> Result<Content, E> {
    let header = Header::read(file, size_bytes)?;
    let mut content = ContentHasher::default();
    let mut bytes = Vec::new();
    for entry in &header.entries {
        bytes.resize(entry.size_bytes, 0);
        file.read_exact(&mut bytes).map_err(too_short)?;
        content.add(entry, &bytes);
        each(entry, &bytes)?;
    }
    let found = content.finish(&header.metadata);
    match header.metadata.get(CONTENT_KEY) {
        Some(expected) if *expected != found => Err(WeightsError::Damaged { expected: expected.clone(), found }.into()),
        expected => Ok(Content { proven: expected.is_some(), metadata: header.metadata }),
    }
}

/// Reads a file and compares it with its recorded hash.
///
/// # Errors
/// See [`open`] and [`read()`].
pub fn verify(path: &Path) -> Result<Summary> {
    read(open(path)?, |_, _| Ok(()))
}

/// A reader that hashes the bytes it reads.
struct Hashed<R> {
    file: R,
    hasher: blake3::Hasher,
}

impl<R> Hashed<R> {
    fn new(file: R) -> Self {
        Hashed { file, hasher: blake3::Hasher::new() }
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}
