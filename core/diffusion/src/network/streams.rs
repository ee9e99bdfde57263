//! All streams concatenated in one vector, and back.

use anyflow_config::network::Part;
use indexmap::IndexMap;
use tch::Tensor;

use crate::{DenoiserInput, EngineError, Result, StreamSpec, TensorExt};

/// The shape of one row of each stream.
pub(super) fn shapes(streams: &[StreamSpec]) -> Vec<&[i64]> {
    streams.iter().map(|stream| stream.shape.as_slice()).collect()
}

/// The network of each stream.
///
/// # Errors
/// A stream without a network, a network without a stream.
pub(super) fn parts_of<'p>(parts: &'p IndexMap<String, Part>, streams: &[StreamSpec]) -> Result<Vec<&'p Part>> {
    let bad = |found| EngineError::Config { field: "parts", wanted: "one network for each stream", found };
    if let Some(stranger) = parts.keys().find(|name| !streams.iter().any(|stream| &stream.name == *name)) {
        return Err(bad(format!("one for unknown stream {stranger:?}")));
    }
    let of = |stream: &StreamSpec| parts.get(&stream.name).ok_or_else(|| bad(format!("none for {:?}", stream.name)));
    streams.iter().map(of).collect()
}

/// The number of elements of all streams.
pub(super) fn elements(streams: &[StreamSpec]) -> i64 {
    streams.iter().map(StreamSpec::elements).sum()
}

/// Concatenates all streams, absent ones as zeros: `[row, elements]`. Rejects wrong shapes.
pub(super) fn join(streams: &[StreamSpec], batch: &DenoiserInput) -> Result<Tensor> {
    let rows = batch.rows();
    let present = if batch.is_all_present() { None } else { Some(batch.present()?) };
    let mut parts = Vec::with_capacity(streams.len());
    for (index, (stream, x)) in streams.iter().zip(&batch.x).enumerate() {
        stream.check_batch(x, rows as usize)?;
        let flat = if x.dim() == 2 { x.shallow_clone() } else { x.try_reshape([rows, -1])? };
        parts.push(match &present {
            None => flat,
            Some(present) => {
                let present = present.try_narrow(1, index as i64, 1)?;
                flat.try_mul(&present)?
            }
        });
    }
    match parts.as_slice() {
        [part] => Ok(part.shallow_clone()),
        parts => Tensor::try_cat(parts, 1),
    }
}

/// Splits `[row, elements]` into streams, each `[row, shape]`.
pub(super) fn split(streams: &[StreamSpec], flat: &Tensor) -> Result<Vec<Tensor>> {
    if let [stream] = streams
        && stream.shape.len() == 1
    {
        return Ok(vec![flat.shallow_clone()]);
    }
    let rows = flat.size()[0] as usize;
    let mut first = 0;
    let mut parts = Vec::with_capacity(streams.len());
    for stream in streams {
        let part = flat.try_narrow(1, first, stream.elements())?;
        parts.push(match stream.shape.len() {
            1 => part,
            _ => part.try_reshape(stream.batch_shape(rows))?,
        });
        first += stream.elements();
    }
    Ok(parts)
}

/// The values of a stream, with zeros in the rows in which it is absent. `present` is `None` if all rows have all
/// streams.
pub(super) fn present_values(
    stream: &StreamSpec,
    index: usize,
    x: &Tensor,
    present: Option<&Tensor>,
) -> Result<Tensor> {
    let Some(present) = present else { return Ok(x.shallow_clone()) };
    let column = present.try_narrow(1, index as i64, 1)?.try_reshape(stream.column_shape(x.size()[0] as usize))?;
    let there = column.try_gt(0.0)?;
    let zero = x.try_zeros_like()?;
    x.try_where(&there, &zero)
}
