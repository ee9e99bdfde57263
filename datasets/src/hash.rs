//! Hashes of files.

use std::io::Read;

const CHUNK_BYTES: usize = 1 << 20;

/// Hash of the rest of a file, read in pieces.
pub(crate) fn hash_of(file: &mut impl Read) -> std::io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(hasher.finalize()),
            Ok(count) => drop(hasher.update(&chunk[..count])),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
