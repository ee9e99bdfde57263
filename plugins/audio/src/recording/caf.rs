//! CAF files (Apple) of uncompressed samples.

use anyflow_sdk::Error;
use symphonia::core::codecs::audio::AudioCodecId;
use symphonia::core::codecs::audio::well_known::*;

use super::chunks::{Chunk, Chunks, ENDLESS, Extent, Layout, u32_be};
use super::pcm::{Block, Pcm};

/// Bytes before the samples: the number of edits.
const EDITS: usize = 4;

/// Finds the samples of a CAF file.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Pcm<'_>>, Error> {
    let mut description = None;
    for chunk in (Chunks { layout: Layout::Caf, rest: bytes.get(8..).unwrap_or_default() }) {
        match &chunk.id {
            b"desc" => description = Some(Description::parse(chunk.body())?),
            b"data" => {
                let early = || Error::data("the CAF file has no format before its samples");
                let Description { rate, channels, codec, width } = description.ok_or_else(early)?;
                // A length of -1 reaches to the end.
                let stated =
                    if chunk.stated > u64::MAX / 2 { ENDLESS } else { chunk.stated.saturating_sub(EDITS as u64) };
                let rest = chunk.rest.get(EDITS..).unwrap_or_default();
                let extent = Extent::of(&Chunk { id: chunk.id, stated, rest }, None);
                let block = Block::of_samples(width, channels);
                return Ok(Some(Pcm { codec, rate, channels, block, extent, frames: None }));
            }
            _ => {}
        }
    }
    Err(Error::data("the CAF file ends before its samples"))
}

/// The chunk `desc`.
struct Description {
    rate: u32,
    channels: u16,
    codec: AudioCodecId,
    /// Bytes of a sample.
    width: u16,
}

impl Description {
    fn parse(body: &[u8]) -> Result<Self, Error> {
        let parse = || {
            let rate = f64::from_be_bytes(*body.first_chunk()?);
            Some((rate as u32, *body.get(8..)?.first_chunk()?, u32_be(body, 12)?, u32_be(body, 24)?, u32_be(body, 28)?))
        };
        let Some((rate, kind, flags, channels, bits)) = parse() else {
            return Err(Error::data("the CAF file ends in its format"));
        };
        let (codec, width) = codec(kind, flags, bits)?;
        Ok(Description { rate, channels: u16::try_from(channels).unwrap_or(u16::MAX), codec, width })
    }
}

fn codec(kind: [u8; 4], flags: u32, bits: u32) -> Result<(AudioCodecId, u16), Error> {
    let (float, little) = (flags & 1 != 0, flags & 2 != 0);
    Ok(match (&kind, float, bits, little) {
        (b"lpcm", true, 32, true) => (CODEC_ID_PCM_F32LE, 4),
        (b"lpcm", true, 32, false) => (CODEC_ID_PCM_F32BE, 4),
        (b"lpcm", true, 64, true) => (CODEC_ID_PCM_F64LE, 8),
        (b"lpcm", true, 64, false) => (CODEC_ID_PCM_F64BE, 8),
        (b"lpcm", false, 8, _) => (CODEC_ID_PCM_S8, 1),
        (b"lpcm", false, 16, true) => (CODEC_ID_PCM_S16LE, 2),
        (b"lpcm", false, 16, false) => (CODEC_ID_PCM_S16BE, 2),
        (b"lpcm", false, 24, true) => (CODEC_ID_PCM_S24LE, 3),
        (b"lpcm", false, 24, false) => (CODEC_ID_PCM_S24BE, 3),
        (b"lpcm", false, 32, true) => (CODEC_ID_PCM_S32LE, 4),
        (b"lpcm", false, 32, false) => (CODEC_ID_PCM_S32BE, 4),
        (b"alaw", ..) => (CODEC_ID_PCM_ALAW, 1),
        (b"ulaw", ..) => (CODEC_ID_PCM_MULAW, 1),
        _ => {
            let kind = kind.escape_ascii();
            return Err(Error::data(format!(
                "the CAF file has samples `{kind}` of {bits} bits, which are not supported"
            )));
        }
    })
}
