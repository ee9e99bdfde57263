//! Limits the length of lines: a small packed file can hold a line that fills memory.

use std::io::{Error, Read, Result};

/// The longest line of a table; media in tables are far shorter.
const MAX_LINE_BYTES: usize = 256 << 20;

/// Fails at a line that is too long, before a reader buffers it.
pub(super) struct Lines<R> {
    inner: R,
    /// Bytes since the last line break.
    length: usize,
}

impl<R> Lines<R> {
    pub(super) fn new(inner: R) -> Lines<R> {
        Lines { inner, length: 0 }
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.inner.read(buffer)?;
        self.length = match buffer[..count].iter().rposition(|byte| *byte == b'\n') {
            Some(last) => count - last - 1,
            None => self.length + count,
        };
        if self.length > MAX_LINE_BYTES {
            return Err(Error::other(format!("a line has more than {MAX_LINE_BYTES} bytes")));
        }
        Ok(count)
    }
}
