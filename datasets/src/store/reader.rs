//! Reads some ranges of an object in windows, which grow while the reading goes on without jumps.
//!
//! Parquet's decoder reads the pages of several column chunks in turn, a header and a page at a time. A request for each would
//! cost a round trip each. So each chunk has a window of its own: the first windows of all chunks come in one go, neighbours in
//! one request, and while the decoder reads a window the next one is on its way. A jump, over pages that are not wanted,
//! starts with a small window again.

use std::io::{Error, ErrorKind, Result};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};

use super::address::{Address, ranges};
use super::error::reason;
use super::object::ObjectVersion;
use super::runtime::{self, Pending};

/// The first window of a chunk, and the one after a jump.
const FIRST_BYTES: u64 = 256 << 10;
/// Bounds of the largest window.
const WINDOW_BYTES: Range<u64> = 64 << 10..8 << 20;
/// So many bytes in all are read in one go.
const SMALL_BYTES: u64 = 4 << 20;
/// Ranges that are nearer to each other come in one request.
const NEAR_BYTES: u64 = 128 << 10;

type Answer = object_store::Result<Vec<(ObjectVersion, Bytes)>>;

/// Reads ranges of an object of one version.
#[derive(Debug)]
pub(crate) struct ObjectReader {
    address: Address,
    version: ObjectVersion,
    /// The ranges of the chunks, in order.
    ranges: Vec<Range<u64>>,
    chunks: Vec<Mutex<Chunk>>,
    /// The first windows, before anything is read.
    first: Mutex<Option<First>>,
    largest: u64,
}

/// Requests for the first windows of all chunks.
#[derive(Debug)]
struct First {
    ranges: Vec<Range<u64>>,
    answer: Pending<Answer>,
}

#[derive(Debug)]
struct Chunk {
    range: Range<u64>,
    /// Where the held bytes begin.
    start: u64,
    held: Bytes,
    /// The window behind the held bytes.
    next: Option<(Range<u64>, Pending<Answer>)>,
    window: u64,
}

impl ObjectReader {
    /// A reader of these ranges, which asks for the first windows at once. It holds about `limit` bytes at most.
    pub(crate) fn new(
        address: Address,
        version: ObjectVersion,
        mut wanted: Vec<Range<u64>>,
        limit: u64,
    ) -> ObjectReader {
        wanted.retain(|range| !range.is_empty());
        wanted.sort_by_key(|range| range.start);
        let largest = limit / 2 / (wanted.len() as u64).max(1);
        let largest = largest.clamp(WINDOW_BYTES.start, WINDOW_BYTES.end);
        let total: u64 = wanted.iter().map(|range| range.end - range.start).sum();
        let first = if total <= SMALL_BYTES { total } else { FIRST_BYTES.min(largest) };
        let windows = wanted.iter().map(|range| range.start..range.end.min(range.start.saturating_add(first)));
        let windows = joined(windows);
        let window = FIRST_BYTES.min(largest);
        let chunk = |range: &Range<u64>| Chunk {
            start: range.start,
            range: range.clone(),
            held: Bytes::new(),
            next: None,
            window,
        };
        let chunks = wanted.iter().map(|range| Mutex::new(chunk(range))).collect();
        let reader = ObjectReader { address, version, ranges: wanted, chunks, first: Mutex::default(), largest };
        // If the thread cannot be started, the first reading says so.
        let begun = reader.begin(windows.clone()).ok().map(|answer| First { ranges: windows, answer });
        *lock(&reader.first) = begun;
        reader
    }

    /// The bytes of a range within one of the chunks.
    ///
    /// # Errors
    /// The store fails; the object is another version now ([`ErrorKind::UnexpectedEof`], as for a file that was cut).
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Bytes> {
        self.distribute()?;
        let place = self.ranges.partition_point(|chunk| chunk.start <= range.start).checked_sub(1);
        let chunk = place.filter(|place| range.end <= self.ranges[*place].end).map(|place| &self.chunks[place]);
        let chunk = chunk.ok_or_else(|| Error::other("bytes outside of the ranges that are read"))?;
        self.read_chunk(&mut lock(chunk), range)
    }

    fn read_chunk(&self, chunk: &mut Chunk, wanted: Range<u64>) -> Result<Bytes> {
        if let Some(bytes) = chunk.get(&wanted) {
            return Ok(bytes);
        }
        let goes_on = (chunk.start..=chunk.end()).contains(&wanted.start);
        chunk.window = if goes_on { (chunk.window * 2).min(self.largest) } else { FIRST_BYTES.min(self.largest) };
        if let Some((ahead, answer)) = chunk.next.take()
            && goes_on
        {
            let bytes = self.checked(answer)?.pop().unwrap_or_default();
            chunk.append(ahead.start, bytes, wanted.start);
        }
        let from = if goes_on { chunk.end().max(wanted.start) } else { wanted.start };
        if from < wanted.end || !goes_on {
            let to = wanted.end.max(from.saturating_add(chunk.window)).min(chunk.range.end);
            let answer = self.begin(std::iter::once(from..to).collect())?;
            let bytes = self.checked(answer)?.pop().unwrap_or_default();
            chunk.append(from, bytes, wanted.start);
        }
        let end = chunk.end();
        if goes_on && end < chunk.range.end {
            let ahead = end..chunk.range.end.min(end.saturating_add(chunk.window));
            chunk.next = Some((ahead.clone(), self.begin(vec![ahead])?));
        }
        chunk.get(&wanted).ok_or_else(|| ErrorKind::UnexpectedEof.into())
    }

    /// Gives the first windows to their chunks.
    fn distribute(&self) -> Result<()> {
        let Some(First { ranges, answer }) = lock(&self.first).take() else {
            return Ok(());
        };
        let windows = self.checked(answer)?;
        for (range, bytes) in ranges.into_iter().zip(windows) {
            for chunk in &self.chunks {
                let mut chunk = lock(chunk);
                if range.contains(&chunk.range.start) {
                    let start = (chunk.range.start - range.start) as usize;
                    let end = (chunk.range.end.min(range.end) - range.start) as usize;
                    chunk.held =
                        bytes.get(start..end.min(bytes.len())).map(|part| bytes.slice_ref(part)).unwrap_or_default();
                }
            }
        }
        Ok(())
    }

    fn begin(&self, wanted: Vec<Range<u64>>) -> Result<Pending<Answer>> {
        runtime::begin(ranges(self.address.client.clone(), self.address.key.clone(), wanted))
    }

    /// The bytes of an answer, if they are of the version that was opened.
    fn checked(&self, answer: Pending<Answer>) -> Result<Vec<Bytes>> {
        let answered = answer.wait()?.map_err(|error| {
            let kind = if matches!(error, object_store::Error::NotFound { .. }) {
                ErrorKind::NotFound
            } else {
                ErrorKind::Other
            };
            Error::new(kind, reason(&error))
        })?;
        match answered.iter().all(|(version, _)| version.has_content_of(&self.version)) {
            true => Ok(answered.into_iter().map(|(_, bytes)| bytes).collect()),
            false => Err(ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Chunk {
    fn end(&self) -> u64 {
        self.start + self.held.len() as u64
    }

    /// The held bytes of a range.
    fn get(&self, range: &Range<u64>) -> Option<Bytes> {
        let start = usize::try_from(range.start.checked_sub(self.start)?).ok()?;
        let end = usize::try_from(range.end.checked_sub(self.start)?).ok()?;
        (end <= self.held.len()).then(|| self.held.slice(start..end))
    }

    /// Adds bytes, and drops those before `from`, where the reading goes on.
    fn append(&mut self, start: u64, bytes: Bytes, from: u64) {
        let kept = usize::try_from(from.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let is_behind = start == self.end() && kept < self.held.len();
        if !is_behind {
            (self.start, self.held) = (start, bytes);
            return;
        }
        let mut joined = BytesMut::with_capacity(self.held.len() - kept + bytes.len());
        joined.extend_from_slice(&self.held[kept..]);
        joined.extend_from_slice(&bytes);
        (self.start, self.held) = (from, joined.freeze());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sorted ranges, those near one another as one.
fn joined(ranges: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(NEAR_BYTES) => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// Reads a whole object from its first byte to its last.
pub(crate) struct ObjectStream {
    reader: ObjectReader,
    at: u64,
    end: u64,
}

impl ObjectStream {
    /// Bytes of one reading.
    const STEP_BYTES: u64 = 1 << 20;

    /// A stream of the object, of this version.
    pub(crate) fn new(address: Address, version: ObjectVersion) -> ObjectStream {
        let end = version.size_bytes;
        let limit = 4 * WINDOW_BYTES.end;
        ObjectStream {
            reader: ObjectReader::new(address, version, std::iter::once(0..end).collect(), limit),
            at: 0,
            end,
        }
    }
}

impl std::io::Read for ObjectStream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let end = self.end.min(self.at + (buffer.len() as u64).min(ObjectStream::STEP_BYTES));
        if end == self.at {
            return Ok(0);
        }
        let bytes = self.reader.read(self.at..end)?;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        self.at = end;
        Ok(bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 3 MB in a store in memory.
    fn object() -> (Address, ObjectVersion, Vec<u8>) {
        let bytes: Vec<u8> = (0..3_000_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let address = Address::in_memory("a");
        address.write(bytes.clone()).unwrap();
        let version = address.version().unwrap().unwrap();
        (address, version, bytes)
    }

    #[test]
    fn any_order_of_reading_gives_the_bytes_of_the_object() {
        let (address, version, bytes) = object();
        for limit in [1, 1 << 30] {
            let chunks = vec![0..1_000_000, 1_000_000..1_000_010, 1_400_000..3_000_000];
            let reader = ObjectReader::new(address.clone(), version.clone(), chunks.clone(), limit);
            let read = |range: Range<u64>| {
                let expected = &bytes[range.start as usize..range.end as usize];
                assert!(reader.read(range.clone()).unwrap() == expected, "{range:?}");
            };
            // In turn, by headers and pages, as a decoder reads.
            let mut at = [0, 1_400_000];
            while at[0] + 9_000 < 1_000_000 {
                for place in &mut at {
                    read(*place..*place + 200);
                    read(*place + 30..*place + 9_000);
                    *place += 9_000;
                }
            }
            read(1_000_000..1_000_010);
            // With jumps, forwards and backwards, and all at once.
            for start in (1_400_000..2_900_000).step_by(310_007).chain([1_500_000]) {
                read(start..start + 90_000);
            }
            read(1_400_000..3_000_000);
            assert!(reader.read(1_000_005..1_000_020).is_err(), "beyond a chunk");
        }
    }

    #[test]
    fn another_version_is_noticed() {
        let (address, version, _) = object();
        let other = ObjectVersion { etag: Some("another".into()), ..version };
        let error =
            ObjectReader::new(address, other, std::iter::once(0..10).collect(), 1 << 20).read(0..10).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_stream_is_the_whole_object() {
        let (address, version, bytes) = object();
        let mut read = Vec::new();
        std::io::Read::read_to_end(&mut ObjectStream::new(address, version), &mut read).unwrap();
        assert!(read == bytes);
    }
}
