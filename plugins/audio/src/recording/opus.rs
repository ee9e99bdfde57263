//! Opus packets -> frames, with a decoder of their own: symphonia reads their files, but not them.

use anyflow_sdk::Error;
use opus_decoder::OpusDecoder;
use symphonia::core::formats::FormatReader;

use super::mix::Mix;
use super::packets::next;

/// Samples per second of decoded frames, whatever rate was recorded.
const RATE: u32 = 48_000;

/// Decodes the packets of a track of one or two channels.
pub(super) fn decode(reader: &mut dyn FormatReader, track: u32, channels: usize, mix: &mut Mix) -> Result<(), Error> {
    let mut decoder = OpusDecoder::new(RATE, channels)
        .map_err(|_| Error::data(format!("the Opus recording has {channels} channels; 1 and 2 are supported")))?;
    let mut samples = vec![0.0; OpusDecoder::MAX_FRAME_SIZE_48K * channels];
    let mut cut = false;
    while let Some(packet) = next(reader, &mut cut)? {
        if packet.track_id != track {
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
        let kept = samples.get(start * channels..frames.saturating_sub(end) * channels);
        mix.push_interleaved(kept.unwrap_or_default());
    }
    if cut { mix.ends_early(None) } else { Ok(()) }
}
