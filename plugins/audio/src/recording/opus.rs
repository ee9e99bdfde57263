//! Opus packets -> frames, with a decoder of their own: symphonia reads their files, but not them.

use anyflow_sdk::Error;
use opus_decoder::OpusDecoder;
use symphonia::core::formats::FormatReader;

use super::mix::Mix;
use super::packets::next;

/// Samples per second of decoded frames, whatever rate was recorded.
const RATE: u32 = 48_000;

/// A track of one or two channels.
pub(super) struct OpusTrack {
    pub id: u32,
    pub channels: usize,
    /// Frames at the start that are no sound: RFC 7845, section 4.2.
    pub delay: usize,
}

/// Decodes the packets of a track.
pub(super) fn decode(reader: &mut dyn FormatReader, track: &OpusTrack, mix: &mut Mix) -> Result<(), Error> {
    let OpusTrack { id, channels, delay: mut early } = *track;
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
        // symphonia marks these frames only in a file of several pages.
        let marked = packet.trim_start.get() as usize;
        early = early.saturating_sub(marked);
        let end = frames.saturating_sub(packet.trim_end.get() as usize);
        let start = (marked + early).min(end);
        early = (marked + early) - start;
        mix.push_interleaved(&samples[start * channels..end * channels]);
    }
    if cut { mix.ends_early(None) } else { Ok(()) }
}
