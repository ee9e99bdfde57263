//! Reads a column chunk for Parquet's page reader, and checks the headers of pages and their bytes.

use std::io::{Cursor, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use parquet::basic::Compression;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};

use super::meter::Meter;
use super::thrift::{Flaw, Walker, kind};
use crate::data_file::OpenFile;

/// Bytes of a header that are read first; statistics make some headers longer.
const HEAD_BYTES: usize = 256;
const MAX_HEAD_BYTES: usize = 16 << 20;
/// First bytes of an LZ4 frame, which older writers put into pages.
const LZ4_FRAME: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
/// The most bytes that one byte of LZ4 unpacks to.
const LZ4_RATIO: u64 = 255;

const HEAD: &[u8] =
    &[kind::I32, kind::I32, kind::I32, kind::I32, kind::STRUCT, kind::STRUCT, kind::STRUCT, kind::STRUCT];
const HEAD_V2: &[u8] = &[kind::I32, kind::I32, kind::I32, kind::I32, kind::I32, kind::I32, kind::TRUE, kind::STRUCT];
/// The page type of dictionaries.
const DICTIONARY: i64 = 2;

/// The sizes in a page's header.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    kind: i64,
    unpacked: i64,
    packed: i64,
    /// Uncompressed bytes at the front.
    levels: i64,
    is_packed: bool,
}

/// The bytes of one column chunk.
pub(super) struct ChunkFile {
    file: OpenFile,
    leaf: usize,
    bytes: Range<u64>,
    codec: Compression,
    meter: Arc<Meter>,
    /// The header that was read last, and the start of the page's bytes.
    head: Arc<Mutex<(u64, Head)>>,
}

impl ChunkFile {
    pub(super) fn new(file: OpenFile, column: &ColumnChunkMetaData, leaf: usize, meter: Arc<Meter>) -> ChunkFile {
        let (start, length) = column.byte_range();
        let bytes = start..start.saturating_add(length);
        ChunkFile { file, leaf, bytes, codec: column.compression(), meter, head: Arc::default() }
    }

    fn check_unpacked(&self, head: Head, bytes: &[u8]) -> Result<(), String> {
        let packed = bytes.get(usize::try_from(head.levels).unwrap_or(0)..).unwrap_or_default();
        let unpacked = u64::try_from(head.unpacked - head.levels).unwrap_or(0);
        match self.codec {
            _ if !head.is_packed => Ok(()),
            Compression::GZIP(_) => {
                let mut behind = MultiGzDecoder::new(packed).take(unpacked + 1);
                let found = std::io::copy(&mut behind, &mut std::io::sink()).map_err(|error| error.to_string())?;
                if found <= unpacked { Ok(()) } else { Err(format!("a page of {unpacked} bytes unpacks to more")) }
            }
            Compression::LZ4 if packed.starts_with(&LZ4_FRAME) => {
                let most = (packed.len() as u64).saturating_mul(LZ4_RATIO);
                self.meter.open_page(self.leaf, most.max(unpacked), false)
            }
            _ => Ok(()),
        }
    }
}

impl Length for ChunkFile {
    fn len(&self) -> u64 {
        self.bytes.end
    }
}

impl ChunkReader for ChunkFile {
    type T = HeadRead;

    /// Is also called when no header is read, so nothing happens before the first byte is read.
    fn get_read(&self, start: u64) -> Result<HeadRead> {
        let file = self.file.clone();
        let head = self.head.clone();
        let meter = self.meter.clone();
        Ok(HeadRead { file, bytes: start..self.bytes.end, head, meter, read: None })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let (place, head) = *self.head.lock().unwrap_or_else(PoisonError::into_inner);
        let known = place == start && usize::try_from(head.packed).is_ok_and(|packed| packed == length);
        let inside = start >= self.bytes.start && start.saturating_add(length as u64) <= self.bytes.end;
        if !known || !inside {
            return Err(ParquetError::General("a page is outside of its column".into()));
        }
        let unpacked = u64::try_from(head.unpacked).unwrap_or(0).max(length as u64);
        let opened = self.meter.open_page(self.leaf, unpacked, head.kind == DICTIONARY);
        opened.map_err(ParquetError::General)?;
        let bytes = self.file.read(start..start + length as u64).map_err(|error| {
            self.meter.note(&error);
            ParquetError::from(error)
        })?;
        self.check_unpacked(head, &bytes).map_err(ParquetError::General)?;
        Ok(bytes)
    }
}

/// The header of a page, checked when its first byte is read.
pub(super) struct HeadRead {
    file: OpenFile,
    /// From the header to the end of the column chunk.
    bytes: Range<u64>,
    head: Arc<Mutex<(u64, Head)>>,
    meter: Arc<Meter>,
    read: Option<Cursor<Vec<u8>>>,
}

impl Read for HeadRead {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = match &mut self.read {
            Some(read) => read,
            None => {
                let bytes = self.load()?;
                self.read.insert(Cursor::new(bytes))
            }
        };
        read.read(buffer)
    }
}

impl HeadRead {
    fn load(&mut self) -> std::io::Result<Vec<u8>> {
        let most = self.bytes.end.saturating_sub(self.bytes.start);
        let mut length = HEAD_BYTES;
        loop {
            let end = self.bytes.start + most.min(length as u64);
            let read = self.file.read(self.bytes.start..end);
            let mut bytes = read.inspect_err(|error| self.meter.note(error))?.to_vec();
            match head(&bytes) {
                Ok((head, end)) => {
                    self.check(head, end as u64).map_err(std::io::Error::other)?;
                    let place = (self.bytes.start + end as u64, head);
                    *self.head.lock().unwrap_or_else(PoisonError::into_inner) = place;
                    bytes.truncate(end);
                    return Ok(bytes);
                }
                Err(Flaw::Short) if length as u64 <= most && length < MAX_HEAD_BYTES => length *= 4,
                Err(flaw) => return Err(std::io::Error::other(format!("the header of a page is invalid: {flaw}"))),
            }
        }
    }

    fn check(&self, head: Head, end: u64) -> Result<(), String> {
        let behind = self.bytes.end - self.bytes.start - end;
        if u64::try_from(head.packed).is_ok_and(|packed| packed <= behind)
            && (0..=i64::from(i32::MAX)).contains(&head.unpacked)
            && (0..=head.unpacked).contains(&head.levels)
        {
            return Ok(());
        }
        Err("the header of a page names bytes outside of its column".into())
    }
}

/// Walks a header; also returns its end.
fn head(bytes: &[u8]) -> Result<(Head, usize), Flaw> {
    let mut walker = Walker::new(bytes);
    let mut head = Head { is_packed: true, ..Head::default() };
    walker.record(HEAD, |walker, id, _| {
        match id {
            1 => head.kind = walker.integer()?,
            2 => head.unpacked = walker.integer()?,
            3 => head.packed = walker.integer()?,
            8 => walker.record(HEAD_V2, |walker, id, found| {
                match id {
                    5 | 6 => {
                        let bytes = walker.integer()?;
                        if !(0..=i64::from(i32::MAX)).contains(&bytes) {
                            return Err(Flaw::Wrong("its levels have no such length"));
                        }
                        head.levels += bytes;
                    }
                    7 => head.is_packed = found == kind::TRUE,
                    _ => return Ok(false),
                }
                Ok(true)
            })?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok((head, walker.position()))
}
