//! A JPEG file as the decoder reads it: with fill behind its coded data. Whoever decodes fill lacks data.

use std::cell::Cell;

use zune_core::bytestream::{ZByteIoError, ZByteReaderTrait, ZSeekFrom};

const END: [u8; 2] = [0xFF, 0xD9];
/// Bytes of a fill.
const FILL: usize = 16;
/// The most bytes behind its data that the decoder reads ahead: it reads 32 bits while it holds fewer.
pub(super) const READ_AHEAD: usize = 7;

/// A file with fills, and an end mark in any case.
pub(super) struct Filled {
    bytes: Vec<u8>,
    /// Where each fill begins.
    fills: Vec<usize>,
}

/// Reads a file.
pub(super) struct Source<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the fills begin that the decoder did not pass.
    fills: &'a [usize],
    /// The most bytes of one fill that the decoder read.
    read: &'a Cell<usize>,
}

impl Filled {
    /// `bytes` with a fill at each of the places and at the end. `turned` are the bits of the fills that are turned over.
    pub(super) fn new(bytes: &[u8], places: &[usize], turned: u8) -> Filled {
        let mut filled = Vec::with_capacity(bytes.len() + (places.len() + 1) * FILL + 2);
        let mut fills = Vec::with_capacity(places.len() + 1);
        let mut state = 1u32;
        let mut from = 0;
        for place in places.iter().chain([&bytes.len()]) {
            filled.extend_from_slice(&bytes[from..*place]);
            fills.push(filled.len());
            filled.extend((0..FILL).map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // Markers begin with 0xFF.
                ((state >> 24) as u8 ^ turned).min(0xFE)
            }));
            from = *place;
        }
        filled.extend(END);
        Filled { bytes: filled, fills }
    }

    /// `bytes` without fills.
    pub(super) fn plain(bytes: &[u8]) -> Filled {
        Filled { bytes: [bytes, &END].concat(), fills: Vec::new() }
    }

    /// A reader that sets `read` to the most bytes of one fill that were decoded.
    pub(super) fn source<'a>(&'a self, read: &'a Cell<usize>) -> Source<'a> {
        Source { bytes: &self.bytes, at: 0, fills: &self.fills, read }
    }
}

impl Source<'_> {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn advance(&mut self, count: usize) {
        let from = self.at;
        self.at += count;
        if self.fills.first().is_some_and(|begin| self.at > *begin) {
            self.note(from);
        }
    }

    /// Notes how much of a fill lies between `from` and here.
    #[cold]
    fn note(&mut self, from: usize) {
        while let Some((begin, rest)) = self.fills.split_first().filter(|(begin, _)| self.at > **begin) {
            if from < begin + FILL {
                self.read.set(self.read.get().max((self.at - begin).min(FILL)));
                return;
            }
            self.fills = rest;
        }
    }
}

impl ZByteReaderTrait for Source<'_> {
    #[inline(always)]
    fn read_byte_no_error(&mut self) -> u8 {
        let byte = self.rest().first().copied();
        self.advance(usize::from(byte.is_some()));
        byte.unwrap_or(0)
    }

    #[inline(always)]
    fn read_exact_bytes(&mut self, buffer: &mut [u8]) -> Result<(), ZByteIoError> {
        self.peek_exact_bytes(buffer)?;
        // The decoder reads single bytes to find a marker. That is not decoding.
        if buffer.len() == 1 {
            self.at += 1;
        } else {
            self.advance(buffer.len());
        }
        Ok(())
    }

    fn read_bytes(&mut self, buffer: &mut [u8]) -> Result<usize, ZByteIoError> {
        let count = self.peek_bytes(buffer)?;
        self.at += count;
        Ok(count)
    }

    fn peek_bytes(&mut self, buffer: &mut [u8]) -> Result<usize, ZByteIoError> {
        let count = buffer.len().min(self.rest().len());
        buffer[..count].copy_from_slice(&self.rest()[..count]);
        Ok(count)
    }

    #[inline(always)]
    fn peek_exact_bytes(&mut self, buffer: &mut [u8]) -> Result<(), ZByteIoError> {
        let rest = self.rest();
        let there = rest.get(..buffer.len()).ok_or(ZByteIoError::NotEnoughBytes(rest.len(), buffer.len()))?;
        buffer.copy_from_slice(there);
        Ok(())
    }

    fn z_seek(&mut self, from: ZSeekFrom) -> Result<u64, ZByteIoError> {
        let at = match from {
            ZSeekFrom::Start(at) => usize::try_from(at).ok(),
            ZSeekFrom::End(by) => self.bytes.len().checked_add_signed(by as isize),
            ZSeekFrom::Current(by) => self.at.checked_add_signed(by as isize),
        };
        self.at = at.ok_or(ZByteIoError::SeekError("before the beginning"))?;
        Ok(self.at as u64)
    }

    fn is_eof(&mut self) -> Result<bool, ZByteIoError> {
        Ok(self.at >= self.bytes.len())
    }

    fn z_position(&mut self) -> Result<u64, ZByteIoError> {
        Ok(self.at as u64)
    }

    fn read_remaining(&mut self, sink: &mut Vec<u8>) -> Result<usize, ZByteIoError> {
        let count = self.rest().len();
        sink.extend_from_slice(self.rest());
        self.at += count;
        Ok(count)
    }
}
