//! Opus packets -> frames, with a decoder of their own: symphonia reads their files, but not them.

use anyflow_sdk::Error;
use opus_decoder::OpusDecoder;
use symphonia::core::formats::FormatReader;

use super::mix::Mix;
use super::packets::next;

/// Samples per second of decoded frames, whatever rate was recorded.
const RATE: u32 = 48_000;

/// The first bytes of a page of an Ogg file, before the position at its end.
const PAGE: &[u8] = b"OggS";
/// The offset of that position in the page.
const POSITION: usize = 6;

/// A track of one or two channels.
pub(super) struct OpusTrack {
    pub id: u32,
    pub channels: usize,
    /// The number of its frames.
    pub frames: u64,
}

/// The frames of a file that begins with `delay` frames to be left out: RFC 7845, section 4. symphonia counts them again at
/// the end of a file of one page.
pub(super) fn frames(bytes: &[u8], delay: u32) -> u64 {
    let last = bytes.windows(PAGE.len()).rposition(|window| window == PAGE);
    let position = last.and_then(|page| bytes.get(page + POSITION..page + POSITION + 8)?.try_into().ok());
    let position = position.map(i64::from_le_bytes).and_then(|position| u64::try_from(position).ok());
    position.map_or(u64::MAX, |position| position.saturating_sub(u64::from(delay)))
}

/// Decodes the packets of a track.
pub(super) fn decode(reader: &mut dyn FormatReader, track: &OpusTrack, mix: &mut Mix) -> Result<(), Error> {
    let OpusTrack { id, channels, frames: mut left } = *track;
    let mut decoder = OpusDecoder::new(RATE, channels)
        .map_err(|_| Error::data(format!("the Opus recording has {channels} channels; 1 and 2 are supported")))?;
    let mut samples = vec![0.0; OpusDecoder::MAX_FRAME_SIZE_48K * channels];
    let mut cut = false;
    while let Some(packet) = next(reader, &mut cut)? {
        if packet.track_id != id {
            continue;
        }
        if mix.is_full() {
            mix.skip(packet.dur.get());
            continue;
        }
        let frames = decoder
            .decode_float(&packet.data, &mut samples, false)
            .map_err(|error| Error::data(format!("the recording is damaged after sample {}: {error}", mix.frames())))?;
        let (start, end) = (packet.trim_start.get() as usize, packet.trim_end.get() as usize);
        let end = frames.saturating_sub(end).min(start.saturating_add(usize::try_from(left).unwrap_or(usize::MAX)));
        let kept = samples.get(start * channels..end * channels).unwrap_or_default();
        left = left.saturating_sub((kept.len() / channels) as u64);
        mix.push_interleaved(kept);
    }
    if cut { mix.ends_early(None) } else { Ok(()) }
}
