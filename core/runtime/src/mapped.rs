//! Memory-mapped Arrow IPC files of our own, so that a row is copied only once, into its batch, and rows may be larger
//! than memory.

mod column;
mod file;
mod writer;

pub use column::MappedColumn;
pub use file::MappedFile;
pub use writer::{MappedWriter, array_field, arrays};

use std::fs::File;
use std::io;
use std::sync::Arc;

use memmap2::{Advice, Mmap, UncheckedAdvice};

/// A mapped file.
#[derive(Clone)]
struct Map(Arc<Mmap>);

impl AsRef<[u8]> for Map {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Map {
    /// Maps a file of a folder whose lock this process holds.
    ///
    /// # Errors
    /// The file cannot be mapped.
    fn of(file: &File) -> io::Result<Self> {
        // SAFETY: the complete file was renamed into place. Only the holder of its folder's lock may replace it, which
        // makes a new file. So the mapped bytes do not change.
        Ok(Map(Arc::new(unsafe { Mmap::map(file)? })))
    }

    /// Tells the kernel how the file will be read. It reads ahead only where rows follow each other.
    fn advise(&self, advice: Advice) {
        // Advice that the kernel does not take costs time, nothing else.
        let _ = self.0.advise(advice);
    }

    /// Removes the file's pages from the memory of this process. The kernel keeps them while memory is free.
    fn release(&self) {
        // SAFETY: the mapping is shared and read-only, so a removed page is read again from the file, which does not
        // change.
        let _ = unsafe { self.0.unchecked_advise(UncheckedAdvice::DontNeed) };
    }
}
