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
    each: impl FnMut(&TensorEntry, &[u8]) -> Result<(), E>,
) -> Result<Summary, E> {
    read_known(file, None, each)
}

/// As [`read()`], without hashing if the hash of the file is known.
pub(crate) fn read_known<E: From<WeightsError>>(
    file: File,
    known: Option<String>,
    mut each: impl FnMut(&TensorEntry, &[u8]) -> Result<(), E>,
) -> Result<Summary, E> {
    let size_bytes = file.metadata().map_err(WeightsError::Read)?.len();
    let hasher = known.is_none().then(blake3::Hasher::new);
    let mut file = Hashed { file: BufReader::with_capacity(BUFFER_BYTES, file), hasher };
    let header = Header::read(&mut file, size_bytes)?;
    let recorded = header.metadata.get(CONTENT_KEY);
    // A file that was hashed before was compared with its own record then.
    let mut content = (recorded.is_some() && known.is_none()).then(ContentHasher::default);
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
    let proven = recorded.is_some();
    let hashed = || file.hasher.map(|hasher| hasher.finalize().to_hex().to_string());
    let blake3 = known.or_else(hashed).unwrap_or_default();
    Ok(Summary { metadata: header.metadata, blake3, proven })
}

/// Reads a file and compares it with its recorded hash.
///
/// # Errors
/// See [`open`] and [`read()`].
pub fn verify(path: &Path) -> Result<Summary> {
    read(open(path)?, |_, _| Ok(()))
}

/// A reader that hashes the bytes it reads, if it has a hasher.
struct Hashed<R> {
    file: R,
    hasher: Option<blake3::Hasher>,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
        }
        Ok(count)
    }
}
