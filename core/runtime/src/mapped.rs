//! Maps our own files into memory.

use std::fs::File;
use std::io;

use memmap2::Mmap;

/// Maps a file of a folder whose lock this process holds.
///
/// # Errors
/// The file cannot be mapped.
pub fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: the complete file was renamed into place. Only the holder of its folder's lock may replace it, which makes a
    // new file. So the mapped bytes do not change.
    unsafe { Mmap::map(file) }
}
