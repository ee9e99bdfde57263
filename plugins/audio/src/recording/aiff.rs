//! AIFF and AIFF-C files.

use anyflow_sdk::Error;
use symphonia::core::codecs::audio::AudioCodecId;
use symphonia::core::codecs::audio::well_known::*;

use super::chunks::{Chunk, Chunks, ENDLESS, Extent, Layout, u16_be, u32_be};
use super::pcm::{Block, Pcm};

/// Finds the samples of an AIFF file. `None` for files of other kinds.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Pcm<'_>>, Error> {
    let (Some(b"AIFF" | b"AIFC"), Some(rest)) = (bytes.get(8..12), bytes.get(12..)) else { return Ok(None) };
    let mut common = None;
    let mut sound = None;
    for chunk in (Chunks { layout: Layout::Iff, rest }) {
        match &chunk.id {
            b"COMM" => common = Some(Common::parse(chunk.body())?),
            b"SSND" => sound = Some(chunk),
            _ => {}
        }
    }
    let Some(Common { channels, frames, rate, codec, width }) = common else {
        return Err(Error::data("the AIFF file ends before its format"));
    };
    let Some(sound) = sound else { return Err(Error::data("the AIFF file ends before its samples")) };
    let offset = u32_be(sound.rest, 0).map_or(8, |offset| u64::from(offset).saturating_add(8));
    let stated = if sound.stated == 0 { 0 } else { sound.stated.saturating_sub(offset) };
    let rest = usize::try_from(offset).ok().and_then(|offset| sound.rest.get(offset..)).unwrap_or_default();
    let outer = u32_be(bytes, 4).map(|length| u64::from(length) + 8).filter(|end| (9..ENDLESS).contains(end));
    let missing = outer.map(|end| end.saturating_sub(bytes.len() as u64));
    let extent = Extent::of(&Chunk { id: sound.id, stated, rest }, missing);
    let frames = (frames > 0).then_some(frames);
    Ok(Some(Pcm { codec, rate, channels, block: Block::of_samples(width, channels), extent, frames }))
}

/// The chunk `COMM`.
struct Common {
    channels: u16,
    frames: u64,
    rate: u32,
    codec: AudioCodecId,
    /// Bytes of a sample.
    width: u16,
}

impl Common {
    fn parse(body: &[u8]) -> Result<Self, Error> {
        let parse = || Some((u16_be(body, 0)?, u32_be(body, 2)?, u16_be(body, 6)?, extended(body, 8)?));
        let Some((channels, frames, bits, rate)) = parse() else {
            return Err(Error::data(format!(
                "the format of the AIFF file has {} bytes, which are too few",
                body.len()
            )));
        };
        let (codec, width) = codec(body.get(18..22).unwrap_or(b"NONE"), bits)?;
        Ok(Common { channels, frames: frames.into(), rate, codec, width })
    }
}

fn codec(compression: &[u8], bits: u16) -> Result<(AudioCodecId, u16), Error> {
    let width = bits.div_ceil(8);
    let codec = match (compression.to_ascii_lowercase().as_slice(), width) {
        (b"none" | b"twos", 1) => CODEC_ID_PCM_S8,
        (b"none" | b"twos", 2) => CODEC_ID_PCM_S16BE,
        (b"none" | b"twos" | b"in24", 3) => CODEC_ID_PCM_S24BE,
        (b"none" | b"twos" | b"in32", 4) => CODEC_ID_PCM_S32BE,
        (b"sowt", 1) => CODEC_ID_PCM_S8,
        (b"sowt", 2) => CODEC_ID_PCM_S16LE,
        (b"sowt" | b"42ni", 3) => CODEC_ID_PCM_S24LE,
        (b"sowt" | b"23ni", 4) => CODEC_ID_PCM_S32LE,
        (b"raw ", 1) => CODEC_ID_PCM_U8,
        (b"fl32", _) => return Ok((CODEC_ID_PCM_F32BE, 4)),
        (b"fl64", _) => return Ok((CODEC_ID_PCM_F64BE, 8)),
        (b"alaw", _) => return Ok((CODEC_ID_PCM_ALAW, 1)),
        (b"ulaw", _) => return Ok((CODEC_ID_PCM_MULAW, 1)),
        _ => {
            let compression = compression.escape_ascii();
            return Err(Error::data(format!(
                "the AIFF file has samples `{compression}` of {bits} bits, which are not supported"
            )));
        }
    };
    Ok((codec, width))
}

/// A whole number as a float of 80 bits.
fn extended(bytes: &[u8], at: usize) -> Option<u32> {
    let exponent = u32::from(u16_be(bytes, at)? & 0x7FFF).checked_sub(16_383)?;
    let fraction = u32_be(bytes, at + 2)?;
    31u32.checked_sub(exponent).map(|shift| fraction >> shift)
}
