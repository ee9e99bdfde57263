//! A denoiser with prompts: its last streams are prompts and never diffused.
//!
//! Prompts therefore behave like streams: observed or absent per row, dropped in a guidance branch, gathered and split
//! with the rest of a batch.

use std::cell::RefCell;

use tch::{Device, Kind, Tensor};

use crate::tokens::same_memory;
use crate::{
    Auxiliary, Denoiser, DenoiserInput, Result, Site, SiteSpec, StreamSpec, TensorExt, TimeRun, Times, Tokens,
};

/// A denoiser whose prompt is a mixture. With w_m the presence of prompt m in a row (its weight, or 0), the row's
/// tokens are sum_m w_m C_m / sum_m w_m: Tang et al. 2023, "Any-to-any generation via composable diffusion", section
/// 3.1, with weights that need not sum to 1. A row without prompts has no tokens.
pub struct Prompted {
    inner: Box<dyn Denoiser>,
    /// The streams of `inner`, then the prompts.
    streams: Vec<StreamSpec>,
    prompts: usize,
    /// The mixture of the last call whose times were known on the host.
    kept: RefCell<Option<Mixture>>,
}

/// A mixture and its inputs.
struct Mixture {
    values: Vec<Tensor>,
    /// Per run: the weights of the prompts and the number of rows.
    weights: Vec<(Vec<f32>, usize)>,
    tokens: Option<Tokens>,
}

impl Mixture {
    fn is_of(&self, values: &[Tensor], weights: &[(Vec<f32>, usize)]) -> bool {
        self.weights == weights && self.values.iter().zip(values).all(|(old, new)| same_memory(old, new))
    }
}

impl Prompted {
    /// `inner` with prompts, all of shape `[token, feature]`.
    pub fn new(inner: Box<dyn Denoiser>, prompts: Vec<StreamSpec>) -> Self {
        let count = prompts.len();
        let streams = inner.streams().iter().cloned().chain(prompts).collect();
        Prompted { inner, streams, prompts: count, kept: RefCell::default() }
    }

    /// The input of `inner`.
    fn asked(&self, batch: &DenoiserInput) -> Result<DenoiserInput> {
        let diffused = self.streams.len() - self.prompts;
        let asked = batch.some_streams(0..diffused)?;
        let values = &batch.x[diffused..];
        let tokens = match &batch.times {
            Times::Runs(runs) if !values.iter().any(Tensor::requires_grad) => {
                self.kept(values, runs, batch, diffused)?
            }
            _ => self.tokens(values, &batch.present()?, diffused)?,
        };
        Ok(match tokens {
            Some(tokens) => asked.with_prompt(tokens),
            None => asked,
        })
    }

    /// [`Prompted::tokens`], computed again only if the prompts or weights differ from the last call. Networks
    /// recognize the same memory and keep what they derive from it.
    fn kept(
        &self,
        values: &[Tensor],
        runs: &[TimeRun],
        batch: &DenoiserInput,
        diffused: usize,
    ) -> Result<Option<Tokens>> {
        let weights: Vec<_> = runs.iter().map(|run| (run.present[diffused..].to_vec(), run.rows)).collect();
        let mut kept = self.kept.borrow_mut();
        if let Some(mixture) = kept.as_ref().filter(|mixture| mixture.is_of(values, &weights)) {
            return Ok(mixture.tokens.as_ref().map(Tokens::shared));
        }
        let tokens = self.tokens(values, &batch.present()?, diffused)?;
        let shared = tokens.as_ref().map(Tokens::shared);
        let values = values.iter().map(Tensor::shallow_clone).collect();
        *kept = Some(Mixture { values, weights, tokens });
        Ok(shared)
    }

    /// The mixture, `[row, token, feature]`, and its row mask; `None` if no row has a prompt.
    fn tokens(&self, values: &[Tensor], present: &Tensor, diffused: usize) -> Result<Option<Tokens>> {
        let weights = present.try_narrow(1, diffused as i64, self.prompts as i64)?;
        let total = weights.try_sum([1], true, Kind::Float)?;
        let there = total.try_gt(0.0)?;
        let given = there.try_flatten(0, -1)?.try_to_device(Device::Cpu)?.try_to_bools()?;
        if !given.contains(&true) {
            return Ok(None);
        }
        let all = !given.contains(&false);
        let values = match values {
            // A single prompt has share 1 in its rows. Passing the same memory at every step lets networks reuse what
            // they derived from it.
            [only] => only.shallow_clone(),
            several => self.mixed(several, &weights, &total)?,
        };
        let count = values.size()[1];
        let mask = there.try_expand([values.size()[0], count])?;
        Ok(Some(Tokens { values, mask: (!all).then_some(mask) }))
    }

    fn mixed(&self, values: &[Tensor], weights: &Tensor, total: &Tensor) -> Result<Tensor> {
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
        sum.ok_or_else(|| {
            crate::EngineError::Request("a prompted denoiser needs at least one prompt, found none".to_string())
        })
    }

    /// Appends the prompts themselves as their predictions.
    fn with_prompts(&self, mut outputs: Vec<Tensor>, batch: &DenoiserInput) -> Vec<Tensor> {
        outputs.extend(batch.x[self.streams.len() - self.prompts..].iter().map(Tensor::shallow_clone));
        outputs
    }
}

impl Denoiser for Prompted {
    fn streams(&self) -> &[StreamSpec] {
        &self.streams
    }

    fn predict(&self, batch: &DenoiserInput) -> Result<Vec<Tensor>> {
        Ok(self.with_prompts(self.inner.predict(&self.asked(batch)?)?, batch))
    }

    fn sites(&self) -> Vec<SiteSpec> {
        self.inner.sites()
    }

    fn predict_with(&self, batch: &DenoiserInput, sites: &[Site]) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        let (outputs, features) = self.inner.predict_with(&self.asked(batch)?, sites)?;
        Ok((self.with_prompts(outputs, batch), features))
    }

    fn environments(&self, batch: &DenoiserInput) -> Result<Vec<Option<Tensor>>> {
        self.inner.environments(&self.asked(batch)?)
    }

    fn auxiliaries(&self) -> &[Auxiliary] {
        self.inner.auxiliaries()
    }

    fn prompts(&self) -> usize {
        self.prompts
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        self.inner.parameters()
    }

    fn freeze(&mut self) -> Result<()> {
        self.inner.freeze()
    }
}
