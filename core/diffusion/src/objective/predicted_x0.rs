//! The predicted x0 of a noisy stream, compared with the true value.

use anyflow_config::ContrastiveLoss;
use tch::{Device, Kind, Tensor};

use super::contrastive::info_nce_of_distinct;
use super::{Draw, LossOutput};
use crate::stream::index_of;
use crate::tensor::tensor_from_rows;
use crate::{Prediction, Result, StreamSpec, TensorExt};

/// The predicted x0 of a stream in its noisy rows.
pub(super) struct PredictedX0 {
    /// The index of the stream.
    pub index: usize,
    /// The noisy rows: `[row]`, i64.
    pub rows: Tensor,
    /// `[row, shape]`.
    pub x0: Tensor,
}

/// The predicted x0 of the contrastive stream. `None` with fewer than two noisy rows, since InfoNCE needs a negative.
///
/// # Errors
/// The stream does not exist.
pub(super) fn predicted_x0(
    contrast: &ContrastiveLoss,
    streams: &[StreamSpec],
    draw: &Draw,
    x: &[Tensor],
    predictions: &[Tensor],
) -> Result<Option<PredictedX0>> {
    let name = contrast.stream.as_deref().unwrap_or_default();
    let index = index_of(streams, name)?;
    let stream = &streams[index];
    let device = x[index].device();
    let mut rows = Vec::new();
    let mut coefficients = [Vec::new(), Vec::new()];
    for row in (0..draw.states.rows()).filter(|row| draw.states.row(*row)[index].has_loss()) {
        let t = draw.times[row * draw.states.streams() + index];
        let a = stream.schedule.signal(t);
        let s = stream.schedule.noise(t);
        let (of_x, of_output) = stream.parameterization.x0_coefficients(a, s);
        rows.push(row as i64);
        coefficients[0].push(of_x as f32);
        coefficients[1].push(of_output as f32);
    }
    if rows.len() < 2 {
        return Ok(None);
    }
    let column = |values: &[f32]| tensor_from_rows(values, rows.len(), &stream.column_shape(1)[1..], device);
    let of_x = column(&coefficients[0])?;
    let of_output = column(&coefficients[1])?;
    let rows = index_tensor(&rows, device)?;
    let x = picked(&x[index], &rows)?;
    let output = picked(&predictions[index], &rows)?;
    let x0 = x.try_mul(&of_x)?.try_addcmul(&output, &of_output)?;
    Ok(Some(PredictedX0 { index, rows, x0 }))
}

/// The row indices as a tensor `[row]`, i64.
pub(super) fn index_tensor(rows: &[i64], device: Device) -> Result<Tensor> {
    Tensor::try_from_slice(rows)?.try_to_device(device)
}

/// Selects rows of `[row, ...]` by index.
pub(super) fn picked(tensor: &Tensor, rows: &Tensor) -> Result<Tensor> {
    tensor.try_index_select(0, rows)
}

impl LossOutput {
    /// Adds the contrastive loss between the predicted and the true x0, scaled by the fraction of noisy rows, so that
    /// the term weighs the same whatever the mix of patterns in a step.
    pub(super) fn align(&mut self, contrast: &ContrastiveLoss, x0: &Tensor, truth: &Tensor, rows: usize) -> Result<()> {
        let (loss, right) = info_nce_of_distinct(x0, truth, contrast.temperature)?;
        let share = x0.size()[0] as f64 / rows as f64;
        let term = loss.try_mul_scalar(contrast.weight * share)?;
        self.loss = self.loss.try_add(&term)?;
        let right = right.try_detach()?.try_to_kind(Kind::Float)?;
        self.per_stream.push((format!("predicted x0 of {}", contrast.stream.as_deref().unwrap_or_default()), right));
        Ok(())
    }
}
