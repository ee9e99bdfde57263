//! The predicted x0 of a noisy stream, compared with the true value.

use tch::{Device, Kind, Tensor};

use super::contrast::info_nce_of_distinct;
use super::{Contrast, Draw, LossOutput};
use crate::noise::tensor_from_rows;
use crate::{EngineError, Result, StreamSpec, TensorOp};

/// The predicted x0 of a stream in its noisy rows.
pub(super) struct Recovered {
    /// The index of the stream.
    pub place: usize,
    /// The noisy rows: `[row]`, i64.
    pub rows: Tensor,
    /// `[row, shape]`.
    pub x0: Tensor,
}

/// The predicted x0 of the contrastive stream. `None` with fewer than two noisy rows, since InfoNCE needs a negative.
///
/// # Errors
/// The stream does not exist.
pub(super) fn recovered(
    contrast: &Contrast,
    streams: &[StreamSpec],
    draw: &Draw,
    x: &[Tensor],
    predictions: &[Tensor],
) -> Result<Option<Recovered>> {
    let name = contrast.stream.as_deref().unwrap_or_default();
    let place = streams.iter().position(|stream| stream.name == name).ok_or_else(|| EngineError::Unknown {
        what: "stream",
        name: name.to_string(),
        known: streams.iter().map(|stream| stream.name.clone()).collect(),
    })?;
    let (stream, device) = (&streams[place], x[place].device());
    let (mut rows, mut coefficients) = (Vec::new(), [Vec::new(), Vec::new()]);
    for row in (0..draw.states.rows()).filter(|row| draw.states.row(*row)[place].has_loss()) {
        let t = draw.times[row * draw.states.streams() + place];
        let (a, s) = (stream.schedule.signal(t), stream.schedule.noise(t));
        let (of_x, of_output) = stream.parameterization.x0_coefficients(a, s);
        rows.push(row as i64);
        coefficients[0].push(of_x as f32);
        coefficients[1].push(of_output as f32);
    }
    if rows.len() < 2 {
        return Ok(None);
    }
    let column = |values: &[f32]| tensor_from_rows(values, rows.len(), &stream.column_shape(1)[1..], device);
    let (of_x, of_output) = (column(&coefficients[0])?, column(&coefficients[1])?);
    let rows = index(&rows, device)?;
    let (x, output) = (picked(&x[place], &rows)?, picked(&predictions[place], &rows)?);
    let kept = x.f_mul(&of_x).op("mul", &[&x, &of_x])?;
    let x0 = kept.f_addcmul(&output, &of_output).op("addcmul", &[&kept, &output, &of_output])?;
    Ok(Some(Recovered { place, rows, x0 }))
}

fn index(rows: &[i64], device: Device) -> Result<Tensor> {
    let index = Tensor::f_from_slice(rows).op("from_slice", &[])?;
    index.f_to_device(device).op("to", &[&index])
}

/// Selects rows of `[row, ...]` by index.
pub(super) fn picked(tensor: &Tensor, rows: &Tensor) -> Result<Tensor> {
    tensor.f_index_select(0, rows).op("index_select", &[tensor, rows])
}

impl LossOutput {
    /// Adds the contrastive loss between the predicted and the true x0, scaled by the fraction of noisy rows, so that
    /// the term weighs the same whatever the mix of patterns in a step.
    pub(super) fn align(
        &mut self,
        contrast: &Contrast,
        x0: &Tensor,
        truth: &Tensor,
        (stream, rows): (&StreamSpec, usize),
    ) -> Result<()> {
        let (loss, right) = info_nce_of_distinct(x0, truth, contrast.temperature)?;
        let share = x0.size()[0] as f64 / rows as f64;
        let term = loss.f_mul_scalar(contrast.weight * share).op("mul", &[&loss])?;
        self.loss = self.loss.f_add(&term).op("add", &[&self.loss, &term])?;
        let right = right.f_detach().and_then(|right| right.f_to_kind(Kind::Float)).op("detach", &[&right])?;
        self.per_stream.push((format!("predicted x0 of {}", stream.name), right));
        Ok(())
    }
}
