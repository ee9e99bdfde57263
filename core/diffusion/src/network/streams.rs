//! All streams concatenated in one vector, and back.

use tch::Tensor;

use crate::{DenoiserInput, Result, StreamSpec, TensorOp};

/// The number of elements of all streams.
pub(super) fn elements(streams: &[StreamSpec]) -> i64 {
    streams.iter().map(StreamSpec::elements).sum()
}

/// Concatenates all streams, absent ones as zeros: `[row, elements]`. Rejects wrong shapes.
pub(super) fn join(streams: &[StreamSpec], batch: &DenoiserInput) -> Result<Tensor> {
    let rows = batch.rows();
    let present = if batch.is_all_present() { None } else { Some(batch.present()?) };
    let mut parts = Vec::with_capacity(streams.len());
    for (place, (stream, x)) in streams.iter().zip(&batch.x).enumerate() {
        stream.check_batch(x, rows as usize)?;
        let flat = if x.dim() == 2 { x.shallow_clone() } else { x.f_reshape([rows, -1]).op("reshape", &[x])? };
        parts.push(match &present {
            None => flat,
            Some(present) => {
                let present = present.f_narrow(1, place as i64, 1).op("narrow", &[present])?;
                flat.f_mul(&present).op("mul", &[&flat, &present])?
            }
        });
    }
    match parts.as_slice() {
        [part] => Ok(part.shallow_clone()),
        parts => Tensor::f_cat(parts, 1).op("cat", &parts.iter().collect::<Vec<_>>()),
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
        let part = flat.f_narrow(1, first, stream.elements()).op("narrow", &[flat])?;
        parts.push(match stream.shape.len() {
            1 => part,
            _ => part.f_reshape(stream.batch_shape(rows)).op("reshape", &[&part])?,
        });
        first += stream.elements();
    }
    Ok(parts)
}

/// The values of a stream, with zeros in the rows in which it is absent. `present` is `None` if all rows have all
/// streams.
pub(super) fn present_values(
    stream: &StreamSpec,
    place: usize,
    x: &Tensor,
    present: Option<&Tensor>,
) -> Result<Tensor> {
    let Some(present) = present else { return Ok(x.shallow_clone()) };
    let column = present.f_narrow(1, place as i64, 1).op("narrow", &[present])?;
    let column = column.f_reshape(stream.column_shape(x.size()[0] as usize)).op("reshape", &[&column])?;
    let (there, zero) = (column.f_gt(0.0).op("gt", &[&column])?, x.f_zeros_like().op("zeros_like", &[x])?);
    x.f_where_self(&there, &zero).op("where", &[&there, x, &zero])
}
