//! Files of ours, mapped into memory.

use std::fs::File;
use std::io;

use memmap2::Mmap;

/// The bytes of a file in a folder that this process holds the lock of.
///
/// # Errors
/// It cannot be mapped.
pub fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: the file was renamed into place whole, and only the holder of its folder's lock may replace it, which makes
    // another file. So the mapped bytes do not change while they are borrowed.
    unsafe { Mmap::map(file) }
}
