//! A denoiser with prompts, which are streams that are never diffused.
//!
//! Prompts therefore behave like streams: observed or absent per row, dropped in a guidance branch, gathered and split
//! with the rest of a batch.

mod beside;
mod mixture;

use std::cell::RefCell;

use anyflow_config::{Site, SiteSpec};
use indexmap::IndexMap;
use tch::{Device, Kind, Tensor};

use crate::{Denoiser, DenoiserInput, PromptUse, Result, StreamSpec, TensorExt, Times, Tokens};
use beside::Vectors;
use mixture::Mixture;

/// A denoiser whose prompt is a mixture. With w_m the presence of prompt m in a row (its weight, or 0), the row's
/// tokens are sum_m w_m C_m / sum_m w_m: Tang et al. 2023, "Any-to-any generation via composable diffusion", section
/// 3.1, with weights that need not sum to 1. A row without prompts has no tokens, unless tokens stand for an absent prompt.
///
/// Vectors are added to the embedding of the time, planes are concatenated to the channels: see [`PromptUse`].
pub struct Prompted {
    inner: Box<dyn Denoiser>,
    streams: Vec<StreamSpec>,
    /// The indices of the streams of `inner`, of the prompts that are tokens, and of those that are planes.
    others: Vec<usize>,
    tokens: Vec<usize>,
    planes: Vec<usize>,
    vectors: Vectors,
    /// Tokens prompt -> what stands for it.
    absent: IndexMap<String, Tensor>,
    /// The tokens of rows without a prompt, the mean of `absent`: `[token, feature]`.
    stand_in: Option<Tensor>,
    /// The mixture of the last call whose times were known on the host.
    kept: RefCell<Option<Mixture>>,
}

impl Prompted {
    /// `inner` with prompts, those that are tokens all of one shape; `streams` are the prompts and, in order, those of `inner`.
    ///
    /// # Errors
    /// A tensor operation failed.
    pub fn new(inner: Box<dyn Denoiser>, streams: Vec<StreamSpec>, device: Device) -> Result<Self> {
        let those = |wanted: fn(&StreamSpec) -> bool| -> Vec<usize> {
            (0..streams.len()).filter(|index| wanted(&streams[*index])).collect()
        };
        let others = those(|stream| !stream.is_prompt());
        let tokens = those(|stream| stream.prompt() == Some(&PromptUse::Tokens));
        let planes = those(|stream| stream.prompt() == Some(&PromptUse::Plane));
        let vectors = Vectors::new(&streams, device)?;
        let (absent, stand_in, kept) = Default::default();
        Ok(Prompted { inner, streams, others, tokens, planes, vectors, absent, stand_in, kept })
    }

    /// The input of `inner`.
    fn asked(&self, batch: &DenoiserInput) -> Result<DenoiserInput> {
        let vectors = self.vectors.joined(&self.streams, batch)?;
        let planes = beside::planes(&self.planes, &self.streams, batch)?;
        let asked = batch.some_streams(&self.others)?.with_beside(vectors, planes);
        if self.tokens.is_empty() {
            return Ok(asked);
        }
        let prompts = batch.some_streams(&self.tokens)?;
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
        let mixed = mixture::tokens(prompts)?;
        let Some(absent) = &self.stand_in else { return Ok(mixed) };
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

    fn set_absent_prompt(&mut self, prompt: &str, value: &Tensor) -> Result<()> {
        if self.vectors.set_absent(prompt, value) {
            return Ok(());
        }
        self.absent.insert(prompt.to_string(), value.shallow_clone());
        let all: Vec<&Tensor> = self.absent.values().collect();
        self.stand_in = Some(Tensor::try_stack(&all, 0)?.try_mean([0], false, Kind::Float)?);
        *self.kept.borrow_mut() = None;
        Ok(())
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
