//! The edit of a track in an MP4 file: which of the decoded frames are the sound.
//!
//! AAC encoders put frames before the sound (often 1024 or 2112) and fill the last block behind it. Files state both in an
//! edit list (ISO/IEC 14496-12, section 8.6.6), or in a comment that iTunes introduced.

use super::chunks::{Chunk, Chunks, Layout, u32_be, u64_be};

/// Frames are counted at the rate of the sound.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Edit {
    /// Frames before the sound.
    pub(super) delay: u64,
    /// Frames of the sound, if the file states them.
    pub(super) frames: Option<u64>,
}

/// The edit of the track with this number, whose sound has `rate` frames per second.
pub(super) fn edit(file: &[u8], track: u32, rate: u32) -> Option<Edit> {
    let movie = within(file, &[b"moov"])?;
    let has_number = |trak: &Chunk<'_>| within(trak.body(), &[b"tkhd"]).and_then(after_times) == Some(track);
    let track = boxes(movie).filter(|found| &found.id == b"trak").find(has_number)?;
    comment(movie).or_else(|| Entry::of(track.body())?.edit(movie, track.body(), rate))
}

/// The comment `iTunSMPB`: hexadecimal numbers, of which the second is the delay and the fourth the length.
fn comment(movie: &[u8]) -> Option<Edit> {
    let tags = within(within(movie, &[b"udta", b"meta"])?.get(4..)?, &[b"ilst"])?;
    let text = boxes(tags).filter(|tag| &tag.id == b"----").find_map(|tag| {
        let name = within(tag.body(), &[b"name"])?.get(4..)?;
        if name == b"iTunSMPB" { within(tag.body(), &[b"data"])?.get(8..) } else { None }
    })?;
    let numbers = std::str::from_utf8(text).ok()?.split_ascii_whitespace();
    let numbers: Vec<u64> = numbers.map_while(|number| u64::from_str_radix(number, 16).ok()).collect();
    Some(Edit { delay: *numbers.get(1)?, frames: numbers.get(3).copied().filter(|frames| *frames > 0) })
}

/// An entry of an edit list.
struct Entry {
    /// In units of the movie; 0 reaches to the end.
    duration: u64,
    /// In units of the track.
    start: u64,
}

impl Entry {
    /// The only entry with sound. A track cut together from several parts is read whole.
    fn of(track: &[u8]) -> Option<Self> {
        let list = within(track, &[b"edts", b"elst"])?;
        let wide = *list.first()? == 1;
        let entry = |number: usize| {
            if wide {
                let at = 8 + 20 * number;
                return Some((u64_be(list, at)?, u64_be(list, at + 8)? as i64));
            }
            let at = 8 + 12 * number;
            Some((u32_be(list, at)?.into(), i64::from(u32_be(list, at + 4)? as i32)))
        };
        // Entries that start at -1 are pauses.
        let entries = (0..u32_be(list, 4)? as usize).map_while(entry);
        let mut sounds =
            entries.filter_map(|(duration, start)| u64::try_from(start).ok().map(|start| Entry { duration, start }));
        let first = sounds.next();
        first.filter(|_| sounds.next().is_none())
    }

    fn edit(&self, movie: &[u8], track: &[u8], rate: u32) -> Option<Edit> {
        let units = |head: Option<&[u8]>| head.and_then(after_times).map(u128::from).filter(|units| *units > 0);
        let of_movie = units(within(movie, &[b"mvhd"]))?;
        let of_track = units(within(track, &[b"mdia", b"mdhd"]))?;
        let frames = (u128::from(self.duration) * u128::from(rate)).div_ceil(of_movie);
        Some(Edit {
            delay: u64::try_from(u128::from(self.start) * u128::from(rate) / of_track).ok()?,
            frames: u64::try_from(frames).ok().filter(|frames| *frames > 0),
        })
    }
}

/// The number behind version, flags and two times, which are of 64 bits in version 1.
fn after_times(head: &[u8]) -> Option<u32> {
    u32_be(head, if *head.first()? == 1 { 20 } else { 12 })
}

fn boxes(bytes: &[u8]) -> Chunks<'_> {
    Chunks { layout: Layout::Mp4, rest: bytes }
}

/// The body of the first box of each name inside the one before.
fn within<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(bytes, |bytes, id| boxes(bytes).find(|found| found.id == **id).map(|found| found.body()))
}
