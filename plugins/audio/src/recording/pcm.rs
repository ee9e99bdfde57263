//! Uncompressed samples and blocks of ADPCM, as the containers hold them -> frames.

use anyflow_sdk::Error;
use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_ADPCM_IMA_WAV, CODEC_ID_ADPCM_MS};
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoderOptions};
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};
use symphonia::default::get_codecs;

use super::chunks::Extent;
use super::mix::Mix;
use super::packets::damaged;

/// Frames that are decoded at once.
const PACKET: u64 = 8192;

/// What a container says of its samples, and their bytes.
pub(super) struct Pcm<'a> {
    pub(super) codec: AudioCodecId,
    pub(super) rate: u32,
    pub(super) channels: u16,
    pub(super) block: Block,
    pub(super) extent: Extent<'a>,
    /// Frames without the padding of the last block, if the container states them.
    pub(super) frames: Option<u64>,
}

/// The smallest part that can be decoded: one frame, or a block of ADPCM.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) bytes: usize,
    pub(super) frames: u64,
}

impl Block {
    /// One frame of samples of `width` bytes.
    pub(super) fn of_samples(width: u16, channels: u16) -> Self {
        Block { bytes: usize::from(width) * usize::from(channels), frames: 1 }
    }

    /// A block of ADPCM of 4 bits per sample after a head for each channel. `None` if the heads do not fit.
    pub(super) fn of_adpcm(codec: AudioCodecId, bytes: u16, channels: u16) -> Option<Self> {
        let (head, in_head) = match codec {
            CODEC_ID_ADPCM_MS => (7, 2),
            CODEC_ID_ADPCM_IMA_WAV => (4, 1),
            _ => return None,
        };
        let rest = u64::from(bytes).checked_sub(head * u64::from(channels))?;
        let frames = (2 * rest).checked_div(u64::from(channels))? + in_head;
        Some(Block { bytes: usize::from(bytes), frames })
    }
}

impl Pcm<'_> {
    pub(super) fn decode(&self, mix: &mut Mix) -> Result<(), Error> {
        mix.begin(self.rate, usize::from(self.channels))?;
        let Block { bytes, frames } = self.block;
        let all = |bytes_of: u64| {
            let frames = bytes_of.checked_div(bytes as u64).unwrap_or(0).saturating_mul(frames);
            self.frames.map_or(frames, |stated| stated.min(frames))
        };
        if bytes == 0 {
            return Err(Error::data("the recording has blocks of 0 bytes"));
        }
        mix.end_at(all(self.extent.stated));
        self.decode_blocks(mix)?;
        if (self.extent.data.len() as u64) < self.extent.stated {
            mix.ends_early(Some(all(self.extent.stated)))?;
        }
        Ok(())
    }

    fn decode_blocks(&self, mix: &mut Mix) -> Result<(), Error> {
        let Block { bytes, frames } = self.block;
        let at_once = (PACKET / frames).max(1);
        let mut parameters = AudioCodecParameters::new();
        parameters
            .for_codec(self.codec)
            .with_sample_rate(self.rate)
            .with_channels(Channels::Discrete(self.channels))
            .with_max_frames_per_packet(at_once * frames)
            .with_frames_per_block(frames);
        let mut decoder =
            get_codecs().make_audio_decoder(&parameters, &AudioDecoderOptions::default()).map_err(damaged)?;
        for packet in self.extent.data.chunks(at_once as usize * bytes) {
            let blocks = packet.len() / bytes;
            let duration = blocks as u64 * frames;
            if mix.unneeded() >= duration {
                mix.skip(duration);
                continue;
            }
            let packet = &packet[..blocks * bytes];
            let packet = PacketRef::new(0, Timestamp::new(0), Duration::new(duration), packet);
            mix.push(&decoder.decode_ref(&packet).map_err(damaged)?)?;
        }
        Ok(())
    }
}
