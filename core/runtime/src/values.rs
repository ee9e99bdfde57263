//! Values of diffusions that are made of others, in runs and in evaluations.

use std::borrow::Borrow;

use tch::Tensor;

use crate::Result;

/// Hides what a mask marks: elements above 0.5 become `fill`. `array` is `[row, channel, ...]`, `mask` `[row, 1, ...]`.
///
/// # Errors
/// The shapes disagree, which planning excludes.
pub fn hidden(array: &Tensor, mask: &Tensor, fill: f64) -> Result<Tensor> {
    Ok(array.f_masked_fill(&mask.f_gt(0.5)?, fill)?)
}

/// Puts the features of tokens side by side: `[..., token, feature]`.
///
/// # Errors
/// The numbers of tokens disagree, which planning excludes.
pub fn joined<T: Borrow<Tensor>>(parts: &[T]) -> Result<Tensor> {
    Ok(Tensor::f_cat(parts, -1)?)
}
