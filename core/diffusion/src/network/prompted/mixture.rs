//! The mixture of the prompts that are tokens.

use tch::{Device, Kind, Tensor};

use crate::tokens::same_memory;
use crate::{DenoiserInput, EngineError, Result, TensorExt, Tokens};

/// A mixture and its inputs.
pub(super) struct Mixture {
    pub values: Vec<Tensor>,
    /// Per run: the weights of the prompts and the number of rows.
    pub weights: Vec<(Vec<f32>, usize)>,
    pub tokens: Option<Tokens>,
}

impl Mixture {
    pub fn is_of(&self, values: &[Tensor], weights: &[(Vec<f32>, usize)]) -> bool {
        self.weights == weights && self.values.iter().zip(values).all(|(old, new)| same_memory(old, new))
    }
}

/// The mixture of prompts, `[row, token, feature]`, and its row mask; `None` if no row has a prompt.
pub(super) fn tokens(prompts: &DenoiserInput) -> Result<Option<Tokens>> {
    let weights = prompts.present()?;
    let total = weights.try_sum([1], true, Kind::Float)?;
    let there = total.try_gt(0.0)?;
    let given = there.try_flatten(0, -1)?.try_to_device(Device::Cpu)?.try_to_bools()?;
    if !given.contains(&true) {
        return Ok(None);
    }
    let all = !given.contains(&false);
    let values = match prompts.x.as_slice() {
        // A single prompt has share 1 in its rows. Passing the same memory at every step lets networks reuse what
        // they derived from it.
        [only] => only.shallow_clone(),
        several => mixed(several, &weights, &total)?,
    };
    let count = values.size()[1];
    let mask = there.try_expand([values.size()[0], count])?;
    Ok(Some(Tokens { values, mask: (!all).then_some(mask) }))
}

fn mixed(values: &[Tensor], weights: &Tensor, total: &Tensor) -> Result<Tensor> {
    let safe = total.try_clamp_min(f64::from(f32::MIN_POSITIVE))?;
    let shares = weights.try_div(&safe)?;
    let mut sum: Option<Tensor> = None;
    for (index, value) in values.iter().enumerate() {
        let share = shares.try_narrow(1, index as i64, 1)?.try_unsqueeze(-1)?;
        // The values of an absent prompt are meaningless and may not be finite.
        let term = value.try_mul(&share)?;
        let gone = share.try_eq(0.0)?;
        let term = term.try_masked_fill(&gone, 0.0)?;
        sum = Some(match sum {
            None => term,
            Some(sum) => sum.try_add(&term)?,
        });
    }
    sum.ok_or_else(|| EngineError::Request("a prompted denoiser needs at least one prompt, found none".to_string()))
}
