//! Frames: the encoding of orders and events. A frame is a length (u32), the [version](super::VERSION) of the protocol
//! (u32), a number that counts from 0 (u64), all little endian, and JSON. The version shows a reader that the other program
//! is of the same release, the numbers that no frame is lost or foreign.

use std::io::{self, ErrorKind, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::VERSION;

/// Maximum bytes of an event.
pub const LONGEST_EVENT: usize = 1 << 20;

/// Maximum bytes of an order, which contains a whole plan and the names of all input files.
pub const LONGEST_ORDER: usize = 1 << 26;

/// Bytes before the JSON.
const HEAD: usize = 16;

/// An error that ends the stream of frames. Usually the two programs have different versions, or a plugin wrote to a foreign
/// file descriptor.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side is gone, or a system call failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The other side ended in the middle of a frame.
    #[error("frame {number} ends after {found} of its {length} bytes")]
    Cut {
        /// Which frame.
        number: u64,
        /// Bytes received.
        found: usize,
        /// Bytes announced.
        length: usize,
    },
    /// A frame that is too long, or not a frame.
    #[error("frame {number} has {found} bytes, more than the {most} allowed")]
    Long {
        /// Which frame.
        number: u64,
        /// Bytes announced.
        found: usize,
        /// Maximum bytes.
        most: usize,
    },
    /// A frame of a program of another release.
    #[error("frame {number} has version {found} of the protocol, expected version {expected}")]
    Version {
        /// Which frame.
        number: u64,
        /// Version of this program.
        expected: u32,
        /// Version found.
        found: u32,
    },
    /// A frame is missing, duplicate or foreign.
    #[error("expected frame {expected}, found frame {found}")]
    Number {
        /// Number of the next frame.
        expected: u64,
        /// Number found.
        found: u64,
    },
    /// Content of another version.
    #[error("cannot read frame {number} ({source})")]
    Json {
        /// Which frame.
        number: u64,
        /// The cause.
        source: serde_json::Error,
    },
}

/// A writer of frames.
#[derive(Debug)]
pub struct FrameWriter<W> {
    to: W,
    next: u64,
    longest: usize,
}

impl<W: Write> FrameWriter<W> {
    /// A writer of frames with at most `longest` bytes of JSON.
    pub fn new(to: W, longest: usize) -> Self {
        FrameWriter { to, next: 0, longest }
    }

    /// Writes one value. A value that is too long is refused before anything is written.
    ///
    /// # Errors
    /// [`FrameError::Long`], [`FrameError::Io`].
    pub fn write<T: Serialize>(&mut self, value: &T) -> Result<(), FrameError> {
        let number = self.next;
        let mut frame = vec![0; HEAD];
        serde_json::to_writer(&mut frame, value).map_err(|source| FrameError::Json { number, source })?;
        // Makes a stream readable for people.
        frame.push(b'\n');
        let found = frame.len() - HEAD;
        let length = u32::try_from(found).ok().filter(|_| found <= self.longest);
        let length = length.ok_or(FrameError::Long { number, found, most: self.longest })?;
        frame[..4].copy_from_slice(&length.to_le_bytes());
        frame[4..8].copy_from_slice(&VERSION.to_le_bytes());
        frame[8..HEAD].copy_from_slice(&number.to_le_bytes());
        self.to.write_all(&frame)?;
        self.to.flush()?;
        self.next += 1;
        Ok(())
    }

    /// Writes bytes that are not JSON. The frame before them says how many they are.
    ///
    /// # Errors
    /// [`FrameError::Io`].
    pub fn attach(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        self.to.write_all(bytes)?;
        Ok(self.to.flush()?)
    }
}

impl FrameWriter<Vec<u8>> {
    /// Takes the bytes that were written since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.to)
    }
}

/// A reader of frames.
#[derive(Debug)]
pub struct FrameReader<R> {
    from: R,
    next: u64,
    longest: usize,
}

impl<R: Read> FrameReader<R> {
    /// A reader of frames with at most `longest` bytes of JSON.
    pub fn new(from: R, longest: usize) -> Self {
        FrameReader { from, next: 0, longest }
    }

    /// The rest of the stream.
    pub fn into_inner(self) -> R {
        self.from
    }

    /// The next value; `None` if the stream ends here.
    ///
    /// # Errors
    /// [`FrameError`]; later frames cannot be read either.
    pub fn read<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let number = self.next;
        let mut head = [0; HEAD];
        match self.fill(&mut head)? {
            HEAD => {}
            0 => return Ok(None),
            found => return Err(FrameError::Cut { number, found, length: HEAD }),
        }
        let [length, version] =
            [0, 4].map(|at| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
        let [.., a, b, c, d, e, f, g, h] = head;
        let found = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let length = length as usize;
        if length > self.longest {
            return Err(FrameError::Long { number, found: length, most: self.longest });
        }
        if version != VERSION {
            return Err(FrameError::Version { number, expected: VERSION, found: version });
        }
        if found != number {
            return Err(FrameError::Number { expected: number, found });
        }
        let mut json = Vec::new();
        (&mut self.from).take(length as u64).read_to_end(&mut json)?;
        if json.len() < length {
            return Err(FrameError::Cut { number, found: json.len(), length });
        }
        self.next += 1;
        serde_json::from_slice(&json).map(Some).map_err(|source| FrameError::Json { number, source })
    }

    /// Reads the bytes that follow the last frame, which says how many they are.
    ///
    /// # Errors
    /// [`FrameError::Long`] for more than `most`, [`FrameError::Cut`], [`FrameError::Io`].
    pub fn attached(&mut self, length: u64, most: usize) -> Result<Vec<u8>, FrameError> {
        let number = self.next;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > most {
            return Err(FrameError::Long { number, found: length, most });
        }
        let mut bytes = Vec::new();
        (&mut self.from).take(length as u64).read_to_end(&mut bytes)?;
        if bytes.len() < length {
            return Err(FrameError::Cut { number, found: bytes.len(), length });
        }
        Ok(bytes)
    }

    /// Fills `bytes` from the stream and returns the number of bytes read.
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.from.read(&mut bytes[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(values: &[Value]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = FrameWriter::new(&mut bytes, 100);
        values.iter().for_each(|value| writer.write(value).unwrap());
        bytes
    }

    fn error(bytes: &[u8]) -> String {
        let mut reader = FrameReader::new(bytes, 100);
        loop {
            match reader.read::<Value>() {
                Ok(Some(_)) => {}
                Ok(None) => return "end".into(),
                Err(error) => return error.to_string(),
            }
        }
    }

    #[test]
    fn written_values_are_read_back() {
        let values = [json!({"a": 1}), json!("text with\nlines"), Value::Null];
        let bytes = written(&values);
        let mut reader = FrameReader::new(bytes.as_slice(), 100);
        for value in values {
            assert_eq!(reader.read::<Value>().unwrap(), Some(value));
        }
        assert_eq!(reader.read::<Value>().unwrap(), None);
    }

    #[test]
    fn a_wrong_frame_is_named() {
        let whole = written(&[json!(1), json!(22)]);
        for cut in 1..whole.len() {
            let found = error(&whole[..cut]);
            let first = written(&[json!(1)]).len();
            assert!(if cut == first { found == "end" } else { found.contains("ends after") }, "{cut}: {found}");
        }
        assert_eq!(error(&whole[HEAD + 2..]), "expected frame 0, found frame 1");
        assert_eq!(error(&[whole.clone(), whole.clone()].concat()), "expected frame 2, found frame 0");
        assert!(error(b"hello from a plugin").contains("more than the 100 allowed"));
        assert!(error(&[&[1, 0, 0, 0], &whole[4..HEAD], b"{"].concat()).contains("cannot read frame 0"));
    }

    #[test]
    fn a_frame_of_another_version_is_refused() {
        let mut frame = written(&[json!(1)]);
        for version in [0, VERSION - 1, VERSION + 1] {
            frame[4..8].copy_from_slice(&version.to_le_bytes());
            let expected = format!("frame 0 has version {version} of the protocol, expected version {VERSION}");
            assert_eq!(error(&frame), expected);
        }
        // Before version 3, the number followed the length.
        let old = [&[2, 0, 0, 0], [0; 8].as_slice(), b"1\n", &[2, 0, 0, 0]].concat();
        assert!(error(&old).contains("has version 0 of the protocol"), "{}", error(&old));
    }

    #[test]
    fn bytes_between_frames_are_read_back_and_bounded() {
        let mut bytes = Vec::new();
        let mut writer = FrameWriter::new(&mut bytes, 100);
        writer.write(&5).unwrap();
        writer.attach(b"12345").unwrap();
        writer.write(&"next").unwrap();
        let read = |most: usize, length: u64| {
            let mut reader = FrameReader::new(bytes.as_slice(), 100);
            assert_eq!(reader.read::<u8>().unwrap(), Some(5));
            let attached = reader.attached(length, most)?;
            Ok((attached, reader.read::<String>()?))
        };
        assert_eq!(read(5, 5).unwrap(), (b"12345".to_vec(), Some("next".into())));
        assert!(matches!(read(4, 5), Err(FrameError::Long { found: 5, most: 4, .. })));
        assert!(matches!(read(1000, 1000), Err(FrameError::Cut { length: 1000, .. })));
    }

    #[test]
    fn a_value_that_is_too_long_is_refused_and_the_next_one_fits() {
        let mut bytes = Vec::new();
        let mut writer = FrameWriter::new(&mut bytes, 100);
        assert!(matches!(writer.write(&"x".repeat(100)), Err(FrameError::Long { number: 0, found: 103, most: 100 })));
        writer.write(&1).unwrap();
        assert_eq!(FrameReader::new(bytes.as_slice(), 100).read::<u8>().unwrap(), Some(1));
    }
}
