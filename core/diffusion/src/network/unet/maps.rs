//! All streams as one map, concatenated along the channels, and back. Frames of a stream are rows of the map.

use tch::Tensor;

use super::super::streams::present_values;
use crate::{DenoiserInput, Result, StreamSpec, TensorExt};

/// The common size of the maps of all streams.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Common {
    /// 1 for streams without frames.
    pub frames: i64,
    pub height: i64,
    pub width: i64,
}

impl Common {
    /// The size of a stream `[channel, height, width]` or `[frame, channel, height, width]`.
    pub fn of(stream: &StreamSpec) -> Self {
        let axes = stream.shape.len();
        let frames = if axes == 4 { stream.shape[0] } else { 1 };
        Common { frames, height: stream.shape[axes - 2], width: stream.shape[axes - 1] }
    }
}

/// The channels of one frame of a stream.
pub(super) fn channels(stream: &StreamSpec) -> i64 {
    stream.shape[stream.shape.len() - 3]
}

/// `[row * frame, channel, height, width]`, absent streams zero. Rejects wrong shapes.
pub(super) fn join(streams: &[StreamSpec], common: Common, batch: &DenoiserInput) -> Result<Tensor> {
    let rows = batch.rows();
    let present = if batch.is_all_present() { None } else { Some(batch.present()?) };
    let mut parts = Vec::with_capacity(streams.len());
    for (index, (stream, x)) in streams.iter().zip(&batch.x).enumerate() {
        stream.check_batch(x, rows as usize)?;
        parts.push(as_map(&present_values(stream, index, x, present.as_ref())?, common)?);
    }
    match parts.as_slice() {
        [part] => Ok(part.shallow_clone()),
        parts => Tensor::try_cat(parts, 1),
    }
}

/// `[row, channel, height, width]` or `[row, frame, channel, height, width]` -> `[row * frame, channel, height, width]`.
pub(super) fn as_map(x: &Tensor, common: Common) -> Result<Tensor> {
    x.try_reshape([-1, x.size()[x.dim() - 3], common.height, common.width])
}

/// The streams of `[row * frame, channel, height, width]`, each `[row, shape]`.
pub(super) fn split(streams: &[StreamSpec], common: Common, map: &Tensor) -> Result<Vec<Tensor>> {
    let rows = (map.size()[0] / common.frames) as usize;
    let mut first = 0;
    let mut parts = Vec::with_capacity(streams.len());
    for stream in streams {
        let part = map.try_narrow(1, first, channels(stream))?;
        parts.push(part.try_reshape(stream.batch_shape(rows))?);
        first += channels(stream);
    }
    Ok(parts)
}
