//! Locates the coded frames of an MP4 file (ISO/IEC 14496-12).
//!
//! A small file can claim anything. Sample counts are checked against limits before anything is allocated, and offsets
//! against the file.

use std::num::NonZeroU32;
use std::ops::Range;

use anyflow_sdk::Error;
use shiguredo_mp4::aux::SampleTableAccessor;
use shiguredo_mp4::boxes::{
    Avc1Box, HdlrBox, MoofBox, MoovBox, SampleEntry, StblBox, StszBox, TrafBox, TrexBox, TrunBox,
};
use shiguredo_mp4::{BaseBox, BoxHeader, BoxType, Decode};

use crate::excerpt::FrameTimes;

/// The most frames of a file.
const MAX_SAMPLES: usize = 1 << 18;
/// The most samples of all tracks that the fragments of a file may hold.
const MAX_IN_FRAGMENTS: usize = 1 << 20;

/// The first video track of a file.
pub(super) struct Track<'a> {
    /// The decoder configurations; at least one.
    pub entries: Vec<Avc1Box>,
    /// The coded frames in decoding order; at least one.
    pub samples: Vec<Sample<'a>>,
    /// What is lost of a file that ends early.
    pub loss: Option<String>,
    /// Units of time per second.
    scale: f64,
}

/// A coded frame.
pub(super) struct Sample<'a> {
    /// Its index in [`Track::entries`].
    pub entry: usize,
    /// NAL units, each preceded by its length.
    pub bytes: &'a [u8],
    /// When it is shown, in the track's units of time.
    pub time: i64,
    /// How long it lasts.
    duration: u32,
    /// True if it depends on no other.
    pub starts: bool,
}

impl<'a> Track<'a> {
    /// # Errors
    ///
    /// The file is damaged, or cut before its first frame; it has too many frames, or they are not coded in H.264.
    pub fn of(file: &'a [u8]) -> Result<Self, Error> {
        let mut movie = None;
        let mut fragments = Vec::new();
        let mut samples = Samples { file, all: Vec::new(), stated: 0, lost: None, end: 0 };
        for part in boxes(file) {
            let Part { kind, whole, is_cut, .. } = part?;
            match kind {
                MoovBox::TYPE if movie.is_none() => movie = Some(MoovBox::decode(&file[whole]).map_err(damaged)?.0),
                MoofBox::TYPE if is_cut => samples.lost = Some("the index of the next ones is cut".into()),
                MoofBox::TYPE => fragments.push(whole),
                _ => {}
            }
        }
        let movie = movie.ok_or_else(|| Error::data("the MP4 file has no index (`moov`); it may be truncated"))?;
        let is_video = |handler: &HdlrBox| handler.handler_type == HdlrBox::HANDLER_TYPE_VIDE;
        let track = movie.trak_boxes.into_iter().find(|track| is_video(&track.mdia_box.hdlr_box));
        let track = track.ok_or_else(|| Error::data("the MP4 file has no video track"))?;
        let scale = f64::from(track.mdia_box.mdhd_box.timescale.get());
        let table = track.mdia_box.minf_box.stbl_box;
        let defaults = movie.mvex_box.map(|extends| extends.trex_boxes).unwrap_or_default();
        let entries = entries(&table)?;
        samples.of_table(table)?;
        let mut in_fragments = 0;
        for at in fragments {
            in_fragments += stated(&file[at.clone()])?;
            if in_fragments > MAX_IN_FRAGMENTS {
                return Err(too_many(in_fragments, MAX_IN_FRAGMENTS));
            }
            samples.of_fragment(at, track.tkhd_box.track_id, &defaults)?;
        }
        let Samples { all, stated, lost, .. } = samples;
        let there = all.len();
        let loss = lost.map(|lost| format!("the MP4 file breaks off: {there} of {stated} frames are there; {lost}"));
        if all.is_empty() {
            return Err(Error::data(loss.unwrap_or_else(|| "the MP4 file has no frame".into())));
        }
        if let Some(wrong) = all.iter().find(|sample| sample.entry >= entries.len()) {
            return Err(Error::data(format!("the MP4 file has no description {} of its frames", wrong.entry + 1)));
        }
        Ok(Track { entries, samples: all, loss, scale })
    }

    /// The times of the frames that are shown at `shown`, in order, from the first of them on.
    pub fn times(&self, shown: &[i64]) -> FrameTimes {
        let first = shown.first().copied().unwrap_or(0);
        let seconds = |time: i64| time.saturating_sub(first) as f64 / self.scale;
        let last = self.samples.iter().max_by_key(|sample| sample.time);
        let end = last.map_or(0.0, |last| seconds(last.time.saturating_add(last.duration.into())));
        FrameTimes { begin: shown.iter().map(|time| seconds(*time)).collect(), end }
    }
}

/// The decoder configurations, all of H.264.
fn entries(table: &StblBox) -> Result<Vec<Avc1Box>, Error> {
    let of = |entry: &SampleEntry| match entry {
        SampleEntry::Avc1(entry) => Ok(entry.clone()),
        other => {
            let codec = other.box_type();
            Err(Error::data(format!("the MP4 file's frames are coded as `{codec}`; only H.264 (`avc1`) is read")))
        }
    };
    table.stsd_box.entries.iter().map(of).collect()
}

struct Samples<'a> {
    file: &'a [u8],
    all: Vec<Sample<'a>>,
    /// The number of samples that the file should have, as far as it says.
    stated: usize,
    /// What the first lost sample is, if one is.
    lost: Option<String>,
    /// When the samples so far end.
    end: i64,
}

/// Where a sample is, and when it is shown.
struct Stated {
    entry: usize,
    at: u64,
    size: u32,
    time: i64,
    duration: u32,
    starts: bool,
}

impl<'a> Samples<'a> {
    /// Adds the samples of the index.
    fn of_table(&mut self, table: StblBox) -> Result<(), Error> {
        let stated = match &table.stsz_box {
            StszBox::Fixed { sample_count, .. } => *sample_count as usize,
            StszBox::Variable { entry_sizes } => entry_sizes.len(),
        };
        if stated > MAX_SAMPLES {
            return Err(too_many(stated, MAX_SAMPLES));
        }
        let table = SampleTableAccessor::new(&table).map_err(damaged)?;
        for index in (1..=table.sample_count()).filter_map(NonZeroU32::new) {
            let Some(sample) = table.get_sample(index) else { continue };
            let decoded = i64::try_from(sample.timestamp()).unwrap_or(i64::MAX);
            self.add(&Stated {
                entry: sample.chunk().sample_entry_index(),
                at: sample.data_offset(),
                size: sample.data_size(),
                time: decoded.saturating_add(sample.composition_time_offset().unwrap_or(0)),
                duration: sample.duration(),
                starts: sample.is_sync_sample(),
            })?;
        }
        Ok(())
    }

    /// Adds this track's samples of the fragment at `at`.
    fn of_fragment(&mut self, at: Range<usize>, track: u32, defaults: &[TrexBox]) -> Result<(), Error> {
        let fragment = MoofBox::decode(&self.file[at.clone()]).map_err(damaged)?.0;
        let begin = at.start as u64;
        let mut end = begin;
        for part in &fragment.traf_boxes {
            let of = part.tfhd_box.track_id;
            let default = defaults.iter().find(|default| default.track_id == of);
            let base = match part.tfhd_box.base_data_offset {
                Some(base) => base,
                None if part.tfhd_box.default_base_is_moof => begin,
                None => end,
            };
            end = self.of_part(part, base, default, of == track)?;
        }
        Ok(())
    }

    /// Adds the samples of a track's part of a fragment, with offsets relative to `base`, if they are `wanted`. Returns
    /// the end of its data.
    fn of_part(&mut self, part: &TrafBox, base: u64, default: Option<&TrexBox>, wanted: bool) -> Result<u64, Error> {
        let head = &part.tfhd_box;
        let entry = head.sample_description_index.or(default.map(|default| default.default_sample_description_index));
        let entry = (entry.unwrap_or(1) as usize).saturating_sub(1);
        let usual_size = head.default_sample_size.or(default.map(|default| default.default_sample_size)).unwrap_or(0);
        let usual = head.default_sample_duration.or(default.map(|default| default.default_sample_duration));
        let usual_flags = head.default_sample_flags.or(default.map(|default| default.default_sample_flags));
        let mut at = base;
        let mut decoded = match &part.tfdt_box {
            Some(known) => i64::try_from(known.base_media_decode_time).unwrap_or(i64::MAX),
            None => self.end,
        };
        for run in &part.trun_boxes {
            if let Some(offset) = run.data_offset {
                at = base.saturating_add_signed(offset.into());
            }
            for (index, sample) in run.samples.iter().enumerate() {
                let size = sample.size.unwrap_or(usual_size);
                let duration = sample.duration.or(usual).unwrap_or(0);
                let first = run.first_sample_flags.filter(|_| index == 0);
                let flags = sample.flags.or(first).or(usual_flags);
                let time = decoded.saturating_add(sample.composition_time_offset.unwrap_or(0));
                let starts = flags.is_none_or(|flags| !flags.sample_is_non_sync_sample());
                if wanted {
                    self.add(&Stated { entry, at, size, time, duration, starts })?;
                }
                at = at.saturating_add(size.into());
                decoded = decoded.saturating_add(duration.into());
            }
        }
        Ok(at)
    }

    /// Adds a sample. None is added after one that is lost, since it may depend on that.
    fn add(&mut self, stated: &Stated) -> Result<(), Error> {
        let Stated { entry, at, size, time, duration, starts } = *stated;
        if self.stated == MAX_SAMPLES {
            return Err(too_many(MAX_SAMPLES + 1, MAX_SAMPLES));
        }
        let frame = self.stated;
        self.stated += 1;
        self.end = self.end.max(time.saturating_add(duration.into()));
        let range = usize::try_from(at).ok().and_then(|at| Some(at..at.checked_add(size as usize)?));
        match range.and_then(|range| self.file.get(range)) {
            _ if self.lost.is_some() => {}
            Some(bytes) => self.all.push(Sample { entry, bytes, time, duration, starts }),
            None => {
                let length = self.file.len();
                self.lost = Some(format!("frame {frame} is {size} bytes at byte {at} of {length}"));
            }
        }
        Ok(())
    }
}

/// The number of samples that a fragment claims. The parser allocates all of them, even if the fragment has no data for
/// each.
fn stated(fragment: &[u8]) -> Result<usize, Error> {
    let mut count = 0usize;
    for track in inside(fragment, MoofBox::TYPE).flat_map(|fragment| inside(fragment, TrafBox::TYPE)) {
        for run in inside(track, TrunBox::TYPE) {
            // The count follows version and flags.
            let stated = run.get(4..8).and_then(|bytes| bytes.first_chunk());
            count = count.saturating_add(stated.map_or(0, |bytes| u32::from_be_bytes(*bytes) as usize));
        }
    }
    Ok(count)
}

/// A box of a file.
struct Part {
    kind: BoxType,
    /// Its bytes.
    whole: Range<usize>,
    /// Its bytes without the header.
    body: Range<usize>,
    /// True if it is longer than the rest of the file.
    is_cut: bool,
}

/// Consecutive boxes.
fn boxes(bytes: &[u8]) -> impl Iterator<Item = Result<Part, Error>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        let begin = at;
        at = bytes.len();
        let (header, length) = match BoxHeader::decode(rest) {
            Ok(found) => found,
            // Some files end in zeros.
            Err(_) if rest.len() < BoxHeader::MIN_SIZE => return None,
            Err(error) => return Some(Err(damaged(error))),
        };
        // A box without a size extends to the end of the file, and a truncated box cannot be longer.
        let stated = match header.box_size.get() {
            0 => rest.len(),
            size => usize::try_from(size).unwrap_or(usize::MAX),
        };
        let size = stated.min(rest.len());
        at = begin + size;
        let body = begin + length.min(size)..at;
        Some(Ok(Part { kind: header.box_type, whole: begin..at, body, is_cut: stated > size }))
    })
}

/// The bodies of the boxes of a kind.
fn inside(bytes: &[u8], kind: BoxType) -> impl Iterator<Item = &[u8]> {
    boxes(bytes).filter_map(Result::ok).filter(move |part| part.kind == kind).map(|part| &bytes[part.body])
}

fn damaged(error: impl std::fmt::Display) -> Error {
    Error::data(format!("the MP4 file is damaged: {error}"))
}

fn too_many(found: usize, most: usize) -> Error {
    Error::data(format!("the MP4 file has {found} frames; at most {most} are read"))
}
