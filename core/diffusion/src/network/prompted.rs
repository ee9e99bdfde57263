//! A denoiser with prompts, which are streams that are never diffused.
//!
//! Prompts therefore behave like streams: observed or absent per row, dropped in a guidance branch, gathered and split
//! with the rest of a batch.

use std::cell::RefCell;

use anyflow_config::{Site, SiteSpec};
use tch::{Device, Kind, Tensor};

use crate::tokens::same_memory;
use crate::{Denoiser, DenoiserInput, Result, StreamSpec, TensorExt, Times, Tokens};

/// A denoiser whose prompt is a mixture. With w_m the presence of prompt m in a row (its weight, or 0), the row's
/// tokens are sum_m w_m C_m / sum_m w_m: Tang et al. 2023, "Any-to-any generation via composable diffusion", section
/// 3.1, with weights that need not sum to 1. A row without prompts has no tokens, unless tokens stand for an absent prompt.
pub struct Prompted {
    inner: Box<dyn Denoiser>,
    streams: Vec<StreamSpec>,
    /// The indices of the streams of `inner`, and of the prompts.
    others: Vec<usize>,
    prompts: Vec<usize>,
    /// The tokens of rows without a prompt: `[token, feature]`.
    absent: Option<Tensor>,
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
    /// `inner` with prompts, all of shape `[token, feature]`; `streams` are the prompts and, in order, those of `inner`.
    pub fn new(inner: Box<dyn Denoiser>, streams: Vec<StreamSpec>) -> Self {
        let (prompts, others) = (0..streams.len()).partition(|index| streams[*index].is_prompt());
        Prompted { inner, streams, others, prompts, absent: None, kept: RefCell::default() }
    }

    /// The input of `inner`.
    fn asked(&self, batch: &DenoiserInput) -> Result<DenoiserInput> {
        let asked = batch.some_streams(&self.others)?;
        let prompts = batch.some_streams(&self.prompts)?;
        let tokens = match &prompts.times {
            Times::Runs(_) if !prompts.x.iter().any(Tensor::requires_grad) => self.kept(prompts)?,
            _ => self.tokens(&prompts)?,
        };
        Ok(match tokens {
            Some(tokens) => asked.with_prompt(tokens),
            None => asked,
        })
    }

    /// The mixture of prompts, `[row, token, feature]`, and its row mask; `None` if no row has tokens.
    fn tokens(&self, prompts: &DenoiserInput) -> Result<Option<Tokens>> {
        let mixed = tokens(prompts)?;
        let Some(absent) = &self.absent else { return Ok(mixed) };
        let rows = prompts.rows();
        let everywhere = || absent.try_unsqueeze(0)?.try_expand([rows, -1, -1]);
        let values = match mixed {
            None => everywhere()?,
            Some(Tokens { values, mask: None }) => values,
            Some(Tokens { values, mask: Some(mask) }) => values.try_where(&mask.try_unsqueeze(-1)?, &everywhere()?)?,
        };
        Ok(Some(Tokens { values, mask: None }))
    }

    /// [`Prompted::tokens`], computed again only if the prompts or weights differ from the last call. Networks recognize the same
    /// memory and keep what they derive from it.
    fn kept(&self, prompts: DenoiserInput) -> Result<Option<Tokens>> {
        let Times::Runs(runs) = &prompts.times else { return self.tokens(&prompts) };
        let weights: Vec<_> = runs.iter().map(|run| (run.present.clone(), run.rows)).collect();
        let mut kept = self.kept.borrow_mut();
        if let Some(mixture) = kept.as_ref().filter(|mixture| mixture.is_of(&prompts.x, &weights)) {
            return Ok(mixture.tokens.as_ref().map(Tokens::shared));
        }
        let tokens = self.tokens(&prompts)?;
        let shared = tokens.as_ref().map(Tokens::shared);
        *kept = Some(Mixture { values: prompts.x, weights, tokens });
        Ok(shared)
    }

    /// Adds the prompts themselves as their predictions.
    fn with_prompts(&self, outputs: Vec<Tensor>, batch: &DenoiserInput) -> Vec<Tensor> {
        let mut outputs = outputs.into_iter();
        let of = |(stream, x): (&StreamSpec, &Tensor)| match stream.is_prompt() {
            true => Some(x.shallow_clone()),
            false => outputs.next(),
        };
        self.streams.iter().zip(&batch.x).filter_map(of).collect()
    }
}

/// The mixture of prompts, `[row, token, feature]`, and its row mask; `None` if no row has a prompt.
fn tokens(prompts: &DenoiserInput) -> Result<Option<Tokens>> {
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
    sum.ok_or_else(|| {
        crate::EngineError::Request("a prompted denoiser needs at least one prompt, found none".to_string())
    })
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

    fn set_absent_prompt(&mut self, tokens: &Tensor) {
        self.absent = Some(tokens.shallow_clone());
        *self.kept.borrow_mut() = None;
    }

    fn environments(&self, batch: &DenoiserInput) -> Result<Vec<Option<Tensor>>> {
        self.inner.environments(&self.asked(batch)?)
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        self.inner.parameters()
    }

    fn freeze(&mut self) -> Result<()> {
        self.inner.freeze()
    }
}
