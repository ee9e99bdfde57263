//! The linear update of a stream after a step: the coefficients of a table in f32, and weighted sums.
//!
//! Products are rounded before they are added, whether or not all rows share their factors, so that a row's bits do not
//! depend on the rest of the batch.

use tch::Tensor;

use crate::{EngineError, Prediction, Result, StreamSpec, TableStep, TensorExt, Update};

/// The tensors a row may keep per stream: x, the saved state, the last two denoised values.
pub(crate) const PLANES: usize = 4;

/// One step of one stream, with the parameterization folded in: denoised = k_x x + k_out output. In the order of the
/// constants below.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coefficients(pub [f32; Coefficients::COUNT]);

impl Coefficients {
    /// The number of coefficients of a step.
    pub const COUNT: usize = 15;
    /// Factors of x, the output, noise, the saved state and the last two denoised values, for the next state.
    pub const NEXT: [usize; 6] = [0, 1, 2, 3, 4, 5];
    /// Factors of x and the output, for the denoised value.
    pub const DENOISED: [usize; 2] = [6, 7];
    /// Factors of x, the output, the saved state and the last two denoised values, for the saved state.
    pub const SAVE: [usize; 5] = [8, 9, 10, 11, 12];
    /// Factors of the observed value and of noise, for observed elements that are noised again.
    pub const OBSERVED: [usize; 2] = [13, 14];

    /// A stream that is not sampled: nothing changes.
    pub const KEEP: Coefficients =
        Coefficients([1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);

    /// The coefficients of a table step, in f32.
    pub fn new(step: &TableStep, stream: &StreamSpec) -> Self {
        let (of_x, of_output) = stream.parameterization.x0_coefficients(step.from.a, step.from.s);
        let save = step.save.unwrap_or(Update { saved: 1.0, ..Update::default() });
        let folded = |update: &Update| [update.x + update.denoised * of_x, update.denoised * of_output];
        let [x, output] = folded(&step.next);
        let [save_x, save_output] = folded(&save);
        let Update { saved, previous: [last, before], noise, .. } = step.next;
        let [observed_value, observed_noise] = if step.to.t == 0.0 { [1.0, 0.0] } else { [step.to.a, step.to.s] };
        let [save_last, save_before] = save.previous;
        let next = [x, output, noise, saved, last, before];
        let save = [save_x, save_output, save.saved, save_last, save_before];
        let all = next.into_iter().chain([of_x, of_output]).chain(save).chain([observed_value, observed_noise]);
        let mut values = [0.0; Self::COUNT];
        values.iter_mut().zip(all).for_each(|(value, number)| *value = number as f32);
        Coefficients(values)
    }

    /// True if the next state, or the observed value of a stream that is noised again, contains fresh noise.
    pub fn has_noise(&self, observed: bool) -> bool {
        self.0[Self::NEXT[2]] != 0.0 || (observed && self.0[Self::OBSERVED[1]] != 0.0)
    }
}

/// The factors of a stream's update.
pub(crate) enum Factors<'a> {
    /// All rows are at the same step of the same table.
    Same(&'a Coefficients),
    /// `[coefficient, row, 1, ...]`, one axis per axis of the stream.
    Rows(Tensor),
}

impl Factors<'_> {
    /// The sum of factor times tensor. It may share memory with an input: never write to it.
    pub fn sum(&self, terms: &[(usize, &Tensor)]) -> Result<Tensor> {
        match self {
            Factors::Same(Coefficients(values)) => same(terms, values),
            Factors::Rows(columns) => sum(terms, |index, tensor| {
                let factor = columns.try_select(0, index as i64)?;
                tensor.try_mul(&factor)
            }),
        }
    }
}

/// Shared factors: terms with factor 0 are skipped, and a single term with factor 1 is returned as it is.
fn same(terms: &[(usize, &Tensor)], values: &[f32; Coefficients::COUNT]) -> Result<Tensor> {
    let mut heavy = [(0, terms[0].1); PLANES + 2];
    let mut count = 0;
    for term in terms.iter().filter(|(index, _)| values[*index] != 0.0) {
        heavy[count] = *term;
        count += 1;
    }
    match &heavy[..count] {
        [] => terms[0].1.try_zeros_like(),
        [(index, tensor)] if values[*index] == 1.0 => Ok(tensor.shallow_clone()),
        heavy => sum(heavy, |index, tensor| tensor.try_mul_scalar(f64::from(values[index]))),
    }
}

fn sum(terms: &[(usize, &Tensor)], product: impl Fn(usize, &Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let mut sum: Option<Tensor> = None;
    for (index, tensor) in terms {
        let term = product(*index, tensor)?;
        sum = Some(match sum.take() {
            None => term,
            Some(mut sum) => sum.try_add_(&term)?,
        });
    }
    sum.ok_or_else(|| EngineError::Request("an update needs at least one term, found none".to_string()))
}
