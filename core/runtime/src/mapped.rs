//! Files of ours, mapped into memory.

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::Mmap;

/// The bytes of a file that was renamed into place whole, as checkpoints and caches are.
///
/// # Errors
/// It cannot be opened or mapped.
pub fn open(path: &Path) -> io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: the file was renamed into place whole and nobody writes to it afterwards, so that the mapped bytes do not
    // change while they are borrowed.
    unsafe { Mmap::map(&file) }
}
