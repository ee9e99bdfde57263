//! AU files (Sun, NeXT).

use anyflow_sdk::Error;
use symphonia::core::codecs::audio::well_known::*;

use super::chunks::{Chunk, ENDLESS, Extent, u32_be};
use super::pcm::{Block, Pcm};

/// Finds the samples of an AU file. `None` for files of other kinds.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Pcm<'_>>, Error> {
    let field = |number: usize| u32_be(bytes, 4 * number).ok_or_else(|| Error::data("the AU file ends in its head"));
    let (offset, stated, rate) = (field(1)? as usize, u64::from(field(2)?), field(4)?);
    let channels = u16::try_from(field(5)?).unwrap_or(u16::MAX);
    let (codec, width) = match field(3)? {
        1 => (CODEC_ID_PCM_MULAW, 1),
        2 => (CODEC_ID_PCM_S8, 1),
        3 => (CODEC_ID_PCM_S16BE, 2),
        4 => (CODEC_ID_PCM_S24BE, 3),
        5 => (CODEC_ID_PCM_S32BE, 4),
        6 => (CODEC_ID_PCM_F32BE, 4),
        7 => (CODEC_ID_PCM_F64BE, 8),
        27 => (CODEC_ID_PCM_ALAW, 1),
        other => return Err(Error::data(format!("the AU file has samples of kind {other}, which are not supported"))),
    };
    let rest = bytes.get(offset..).unwrap_or_default();
    // Writers to a pipe give no length.
    let stated = if stated == 0 && !rest.is_empty() { ENDLESS } else { stated };
    let extent = Extent::of(&Chunk { id: *b".snd", stated, rest }, None);
    Ok(Some(Pcm { codec, rate, channels, block: Block::of_samples(width, channels), extent, frames: None }))
}
