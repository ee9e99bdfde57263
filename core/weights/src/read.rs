//! Reads a file in one pass, with memory for the largest tensor.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use crate::CONTENT_KEY;
use crate::content::ContentHasher;
use crate::error::{Result, WeightsError};
use crate::header::{Header, TensorEntry, too_short};
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
    mut each: impl FnMut(&TensorEntry, &[u8]) -> Result<(), E>,
) -> Result<Summary, E> {
    let size_bytes = file.metadata().map_err(WeightsError::Read)?.len();
    let mut file = Hashed { file: BufReader::with_capacity(BUFFER_BYTES, file), hasher: blake3::Hasher::new() };
    let header = Header::read(&mut file, size_bytes)?;
    let mut content = ContentHasher::default();
    let mut bytes = Vec::new();
    for entry in &header.entries {
        bytes.resize(entry.size_bytes, 0);
        file.read_exact(&mut bytes).map_err(too_short)?;
        content.add(entry, &bytes);
        each(entry, &bytes)?;
    }
    let found = content.finish(&header.metadata);
    let proven = match header.metadata.get(CONTENT_KEY) {
        Some(expected) if *expected != found => {
            return Err(WeightsError::Damaged { expected: expected.clone(), found }.into());
        }
        expected => expected.is_some(),
    };
    let blake3 = file.hasher.finalize().to_hex().to_string();
    Ok(Summary { metadata: header.metadata, blake3, proven })
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

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}
