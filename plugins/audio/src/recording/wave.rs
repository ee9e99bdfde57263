//! WAV files: RIFF, RF64 and BW64 (EBU Tech 3306), and Sony's W64.

use anyflow_sdk::Error;
use symphonia::core::codecs::audio::AudioCodecId;
use symphonia::core::codecs::audio::well_known::*;

use super::chunks::{Chunk, Chunks, ENDLESS, Extent, Layout, u16_le, u32_le, u64_le};
use super::pcm::{Block, Pcm};

/// The tag of a format that is named by the first bytes of a GUID.
const EXTENSIBLE: u16 = 0xFFFE;
/// The head of a W64 file: a GUID, the length of the file, and a second GUID.
const WIDE_HEAD: usize = 40;

/// Finds the samples of a WAV file. `None` for files of other kinds.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Pcm<'_>>, Error> {
    let wide = bytes.first_chunk() == Some(b"riff");
    let (head, form) = if wide { (WIDE_HEAD, 24) } else { (12, 8) };
    let (Some(rest), Some(form)) = (bytes.get(head..), bytes.get(form..form + 4)) else { return Ok(None) };
    if form != if wide { b"wave" } else { b"WAVE" } {
        return Ok(None);
    }
    let layout = if wide { Layout::Wide } else { Layout::Riff };
    let mut outer = if wide { u64_le(bytes, 16) } else { u32_le(bytes, 4).map(|length| u64::from(length) + 8) };
    let mut long_data = None;
    let mut format = None;
    let mut fact = None;
    for chunk in (Chunks { layout, rest }) {
        match &chunk.id {
            b"ds64" => {
                outer = u64_le(chunk.body(), 0).map(|length| length.saturating_add(8));
                long_data = u64_le(chunk.body(), 8);
            }
            b"fmt " => format = Some(Format::parse(chunk.body())?),
            b"fact" => fact = u32_le(chunk.body(), 0).map(u64::from),
            b"data" => {
                let format = format.ok_or_else(|| Error::data("the WAV file has no format before its samples"))?;
                let stated = long_data.filter(|_| chunk.stated == u64::from(u32::MAX)).unwrap_or(chunk.stated);
                let missing = outer.filter(|end| (9..ENDLESS).contains(end));
                let missing = missing.map(|end| end.saturating_sub(bytes.len() as u64));
                return format.pcm(Extent::of(&Chunk { stated, ..chunk }, missing), fact).map(Some);
            }
            _ => {}
        }
    }
    Err(Error::data(match format {
        None => "the WAV file ends before its format",
        Some(_) => "the WAV file ends before its samples",
    }))
}

/// The chunk `fmt `.
struct Format {
    tag: u16,
    channels: u16,
    rate: u32,
    block: u16,
    bits: u16,
}

impl Format {
    fn parse(body: &[u8]) -> Result<Self, Error> {
        let parse = || {
            let tag = u16_le(body, 0)?;
            let bits = u16_le(body, 14)?;
            let tag = if tag == EXTENSIBLE { u16_le(body, 24)? } else { tag };
            Some(Format { tag, channels: u16_le(body, 2)?, rate: u32_le(body, 4)?, block: u16_le(body, 12)?, bits })
        };
        parse().ok_or_else(|| {
            Error::data(format!("the format of the WAV file has {} bytes, which are too few", body.len()))
        })
    }

    fn pcm(self, extent: Extent<'_>, fact: Option<u64>) -> Result<Pcm<'_>, Error> {
        let Format { tag, channels, rate, block, bits } = self;
        let codec = self.codec()?;
        let adpcm = [CODEC_ID_ADPCM_MS, CODEC_ID_ADPCM_IMA_WAV].contains(&codec);
        let block = if adpcm {
            if channels > 2 {
                return Err(Error::data(format!(
                    "the WAV file has ADPCM of {channels} channels; at most 2 are supported"
                )));
            }
            let fits = Block::of_adpcm(codec, block, channels);
            fits.ok_or_else(|| {
                Error::data(format!("the WAV file has ADPCM in blocks of {block} bytes for {channels} channels"))
            })?
        } else {
            Block::of_samples(if [6, 7].contains(&tag) { 1 } else { bits.div_ceil(8) }, channels)
        };
        // For uncompressed samples, writers to a pipe leave any number there.
        let frames = fact.filter(|frames| adpcm && *frames > 0);
        Ok(Pcm { codec, rate, channels, block, extent, frames })
    }

    fn codec(&self) -> Result<AudioCodecId, Error> {
        Ok(match (self.tag, self.bits) {
            (1, 1..=8) => CODEC_ID_PCM_U8,
            (1, 9..=16) => CODEC_ID_PCM_S16LE,
            (1, 17..=24) => CODEC_ID_PCM_S24LE,
            (1, 25..=32) => CODEC_ID_PCM_S32LE,
            (2, _) => CODEC_ID_ADPCM_MS,
            (3, 32) => CODEC_ID_PCM_F32LE,
            (3, 64) => CODEC_ID_PCM_F64LE,
            (6, _) => CODEC_ID_PCM_ALAW,
            (7, _) => CODEC_ID_PCM_MULAW,
            (0x11, _) => CODEC_ID_ADPCM_IMA_WAV,
            (1 | 3, bits) => {
                let kind = if self.tag == 1 { "integers" } else { "floats" };
                return Err(Error::data(format!("the WAV file has {kind} of {bits} bits, which are not supported")));
            }
            (tag, _) => {
                let name = match tag {
                    0x31 => "GSM 6.10",
                    0x40 | 0x45 | 0x64 => "G.72x ADPCM",
                    0x50 | 0x55 => "MPEG audio",
                    0xFF | 0x1600..=0x1610 => "AAC",
                    0x161..=0x163 => "Windows Media audio",
                    _ => "an unknown kind of",
                };
                return Err(Error::data(format!(
                    "the WAV file has {name} samples (format {tag:#06x}), which are not supported; \
                     supported are integers, floats, A-law, mu-law, and Microsoft's and IMA's ADPCM"
                )));
            }
        })
    }
}
