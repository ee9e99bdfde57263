//! A network per stream, coupled: each attends to tokens of the other streams' noisy latents.

mod environment;

use anyflow_config::network::Coupled as Options;
use tch::{Device, Kind, Tensor};

use super::build_part;
use super::layer::BuildOptions;
use super::streams::parts_of;
use crate::{Denoiser, DenoiserInput, Result, StreamSpec, TensorExt, Times, Tokens};
use environment::Environment;

/// Tang et al. 2023, "Any-to-any generation via composable diffusion", section 3.3: a network per stream, which attends
/// to the environment tokens of the other streams at their times. The cross-attention layers start at zero.
///
/// Only streams that are present take part. A network whose stream is absent in all rows is not called. If no row has
/// two streams, nothing is encoded and each network is called as if it were alone, to the bit.
pub struct Coupled {
    streams: Vec<StreamSpec>,
    parts: Vec<Box<dyn Denoiser>>,
    environments: Vec<Environment>,
}

/// The rows of a batch in which a stream is present.
#[derive(Clone, Debug, PartialEq)]
enum Presence {
    Nowhere,
    Everywhere,
    /// By row.
    Somewhere(Vec<bool>),
}

impl Presence {
    fn of(rows: Vec<bool>) -> Self {
        match (rows.contains(&true), rows.contains(&false)) {
            (false, _) => Presence::Nowhere,
            (true, false) => Presence::Everywhere,
            (true, true) => Presence::Somewhere(rows),
        }
    }
}

impl Coupled {
    /// A fresh network; see [`crate::build`].
    pub(super) fn new(streams: &[StreamSpec], config: &Options, init: BuildOptions) -> Result<Self> {
        let context = Some(config.environment.features);
        let mut parts = Vec::new();
        let mut environments = Vec::new();
        for (index, part) in parts_of(&config.parts, streams)?.into_iter().enumerate() {
            let own = BuildOptions { context, ..init.of_part(index) };
            parts.push(build_part(part, &streams[index..=index], own)?);
            environments.push(Environment::new(&streams[index], &config.environment, own)?);
        }
        Ok(Coupled { streams: streams.to_vec(), parts, environments })
    }

    /// The rows in which each stream is present.
    fn presence(&self, batch: &DenoiserInput) -> Result<Vec<Presence>> {
        let streams = self.streams.len();
        let by_row: Vec<f32> = match &batch.times {
            Times::Runs(runs) => runs.iter().flat_map(|run| run.present.repeat(run.rows)).collect(),
            Times::Rows { present, .. } => present.try_flatten(0, -1)?.try_to_device(Device::Cpu)?.try_to_floats()?,
        };
        let column = |index: usize| by_row.iter().skip(index).step_by(streams).map(|present| *present > 0.0).collect();
        Ok((0..streams).map(|index| Presence::of(column(index))).collect())
    }

    /// The environment tokens per stream: `[row, token, feature]`; `None` for streams that are absent in all rows.
    fn shown(&self, batch: &DenoiserInput, presence: &[Presence]) -> Result<Vec<Option<Tensor>>> {
        let of = |index: usize| {
            if presence[index] == Presence::Nowhere {
                return Ok(None);
            }
            // The values of absent rows may not be finite; their tokens are masked.
            let z = match &presence[index] {
                Presence::Somewhere(rows) => {
                    let gone = self.column(index, rows, batch)?.try_logical_not()?;
                    batch.x[index].try_masked_fill(&gone, 0.0)?
                }
                _ => batch.x[index].shallow_clone(),
            };
            self.environments[index].forward(&z, batch, index).map(Some)
        };
        (0..self.streams.len()).map(of).collect()
    }

    /// `[row, 1, ...]`, bool, one axis per axis of the stream.
    fn column(&self, index: usize, rows: &[bool], batch: &DenoiserInput) -> Result<Tensor> {
        Tensor::try_from_slice(rows)?
            .try_to_device(batch.x[index].device())?
            .try_view(self.streams[index].column_shape(rows.len()))
    }

    /// The context of a stream's network; `None` if no row has other streams.
    fn context(&self, index: usize, shown: &[Option<Tensor>], presence: &[Presence]) -> Result<Option<Tokens>> {
        let mut values = Vec::new();
        let mut masks = Vec::new();
        let mut all = true;
        for (other, tokens) in shown.iter().enumerate().filter(|(other, _)| *other != index) {
            let Some(tokens) = tokens else { continue };
            let rows = tokens.size()[0];
            let count = tokens.size()[1];
            masks.push(match &presence[other] {
                Presence::Somewhere(presence) => {
                    all = false;
                    Tensor::try_from_slice(presence)?
                        .try_to_device(tokens.device())?
                        .try_unsqueeze(1)?
                        .try_expand([rows, count])?
                }
                _ => Tensor::try_ones([rows, count], (Kind::Bool, tokens.device()))?,
            });
            values.push(tokens);
        }
        if values.is_empty() {
            return Ok(None);
        }
        let values = Tensor::try_cat(&values, 1)?;
        let mask = Tensor::try_cat(&masks, 1)?;
        Ok(Some(Tokens { values, mask: (!all).then_some(mask) }))
    }

    /// True if any row has two streams.
    fn is_joint(presence: &[Presence], rows: usize) -> bool {
        let has = |of: &Presence, row: usize| match of {
            Presence::Nowhere => false,
            Presence::Everywhere => true,
            Presence::Somewhere(rows) => rows[row],
        };
        presence.iter().filter(|of| **of == Presence::Everywhere).count() > 1
            || (0..rows).any(|row| presence.iter().filter(|of| has(of, row)).count() > 1)
    }
}

impl Denoiser for Coupled {
    fn streams(&self) -> &[StreamSpec] {
        &self.streams
    }

    fn predict(&self, batch: &DenoiserInput) -> Result<Vec<Tensor>> {
        let presence = self.presence(batch)?;
        let joint = Coupled::is_joint(&presence, batch.rows() as usize);
        let shown = if joint { Some(self.shown(batch, &presence)?) } else { None };
        let mut outputs = Vec::with_capacity(self.parts.len());
        for (index, part) in self.parts.iter().enumerate() {
            if presence[index] == Presence::Nowhere {
                outputs.push(batch.x[index].try_zeros_like()?);
                continue;
            }
            let mut asked = batch.some_streams(&[index])?;
            if let Some(prompt) = &batch.prompt {
                asked = asked.with_prompt(prompt.shared());
            }
            if let Some(context) =
                shown.as_ref().map(|shown| self.context(index, shown, &presence)).transpose()?.flatten()
            {
                asked = asked.with_context(context);
            }
            outputs.append(&mut part.predict(&asked)?);
        }
        Ok(outputs)
    }

    fn environments(&self, batch: &DenoiserInput) -> Result<Vec<Option<Tensor>>> {
        self.shown(batch, &self.presence(batch)?)
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        let mut named = Vec::new();
        for (stream, part) in self.streams.iter().zip(&self.parts) {
            let under = |(name, tensor)| (format!("parts.{}.{name}", stream.name), tensor);
            named.extend(part.parameters().into_iter().map(under));
        }
        for (stream, environment) in self.streams.iter().zip(&self.environments) {
            let mut own = Vec::new();
            environment.list(&mut own);
            named.extend(own.into_iter().map(|(name, tensor)| (format!("environment.{}.{name}", stream.name), tensor)));
        }
        named
    }

    fn freeze(&mut self) -> Result<()> {
        self.parts.iter_mut().try_for_each(|part| part.freeze())?;
        self.environments.iter_mut().try_for_each(Environment::freeze)
    }
}
