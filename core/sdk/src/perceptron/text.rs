//! Text that is put together at compile time, for the constants of generic descriptors.

/// The longest text, in bytes.
const CAPACITY: usize = 1024;

/// A text of up to 1024 bytes. A longer one fails to compile.
pub struct Text {
    bytes: [u8; CAPACITY],
    len: usize,
}

impl Text {
    /// The empty text.
    pub const fn new() -> Self {
        Text { bytes: [0; CAPACITY], len: 0 }
    }

    /// This text, then `more`.
    pub const fn push(mut self, more: &str) -> Self {
        let more = more.as_bytes();
        let mut i = 0;
        while i < more.len() {
            self.bytes[self.len] = more[i];
            self.len += 1;
            i += 1;
        }
        self
    }

    /// The text as a string.
    pub const fn as_str(&self) -> &str {
        match std::str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(text) => text,
            Err(_) => panic!("strings joined to strings are UTF-8"),
        }
    }
}
