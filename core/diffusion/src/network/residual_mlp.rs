//! A residual MLP over the concatenation of all streams, with a time and a presence per stream.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::layer::{Init, Linear, Norm, add, cast, silu};
use super::streams;
use super::time::{Activation, Projected, Projections, TimeEmbedding, TimeFeatures};
use crate::{Denoiser, DenoiserInput, Result, StreamSpec, TensorOp, Times, Tokens};

/// The scale of a block's last layer at the start: every block begins near the identity.
const BLOCK_SCALE: f64 = 0.01;

/// The size and the options of a [`ResidualMlp`].
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResidualMlpConfig {
    /// The width of the hidden layers.
    pub width: i64,
    /// The number of residual blocks.
    pub blocks: usize,
    /// What the times do to a block.
    pub modulation: Modulation,
    /// As what the times enter.
    pub time: TimeFeatures,
    /// The width of the time embedding; `width` if not given.
    pub embedding: Option<i64>,
    /// Whether the network is told which streams are there; without it, an absent stream looks like one of zeros.
    pub presence: bool,
    /// The features of the prompt's tokens, if it reads a prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<i64>,
}

impl ResidualMlpConfig {
    /// Of the times, a block.
    fn parts(&self) -> i64 {
        match self.modulation {
            Modulation::Shift => 1,
            Modulation::ScaleShift => 2,
        }
    }
}

impl Default for ResidualMlpConfig {
    fn default() -> Self {
        ResidualMlpConfig {
            width: 256,
            blocks: 4,
            modulation: Modulation::Shift,
            time: TimeFeatures::Fourier,
            embedding: None,
            presence: true,
            prompt: None,
        }
    }
}

/// What the times do to a block.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Modulation {
    /// They are added inside it.
    #[default]
    Shift,
    /// They scale and shift it after a second norm: Perez et al. 2018, "FiLM", eq. (2).
    ScaleShift,
}

/// h = input(x); per block, with e the embedding of the times of all streams and of their presence,
///
/// - shift: h <- h + down(silu(up(silu(norm(h))) + time(e))),
/// - scale-shift: h <- h + down(silu((1 + scale) inner(up(silu(norm(h)))) + shift)), [scale, shift] = time(silu(e));
///
/// then output(silu(norm(h))). The output layer starts at zero. Where it reads a prompt, prompt(c) is added to time(e),
/// c being the mean of the row's tokens; a row without tokens adds nothing.
///
/// Made for latents that are vectors; other shapes are flattened.
#[derive(Debug)]
pub struct ResidualMlp {
    streams: Vec<StreamSpec>,
    config: ResidualMlpConfig,
    input: Linear,
    time: TimeEmbedding,
    /// For all blocks at once.
    prompt: Option<Linear>,
    blocks: Vec<Block>,
    output_norm: Norm,
    output: Linear,
    /// Once frozen.
    projections: Option<RefCell<Projections>>,
}

#[derive(Debug)]
struct Block {
    norm: Norm,
    up: Linear,
    /// With scale-shift.
    inner: Option<Norm>,
    time: Linear,
    down: Linear,
}

/// What the blocks are told of the times.
enum Signal<'a> {
    /// What the time layers make of the embedding, `[row, width]`: one part per block, or two with scale-shift.
    Fresh(Vec<Tensor>),
    /// The same with what follows it linearly, as [`Block::parts`] says.
    Projected(Projected<'a>),
}

impl ResidualMlp {
    /// A fresh network; see [`crate::build`].
    pub(super) fn new(streams: &[StreamSpec], config: ResidualMlpConfig, init: Init) -> Result<Self> {
        let (width, elements) = (config.width, streams::elements(streams));
        let embedding = config.embedding.unwrap_or(width);
        let (features, presence) = (config.time, config.presence);
        let parts = config.parts() * config.blocks as i64 * width;
        let prompt = config.prompt.map(|features| Linear::new("prompt", features, parts, 1.0, init)).transpose()?;
        Ok(ResidualMlp {
            streams: streams.to_vec(),
            config,
            input: Linear::new("input", elements, width, 1.0, init)?,
            time: TimeEmbedding::new(streams.len(), embedding, features, presence, Activation::Silu, init)?,
            prompt,
            blocks: (0..config.blocks).map(|index| Block::new(index, &config, init)).collect::<Result<_>>()?,
            output_norm: Norm::new("output.norm", width, 1, init.device)?,
            output: Linear::new("output", width, elements, 0.0, init)?,
            projections: None,
        })
    }

    /// The embedding as the blocks read it.
    fn embed(&self, t: &Tensor, present: &Tensor) -> Result<Tensor> {
        let embedding = self.time.forward(t, present)?;
        match self.config.modulation {
            Modulation::Shift => Ok(embedding),
            Modulation::ScaleShift => silu(embedding),
        }
    }

    /// What the prompt adds to the parts of all blocks, `[row, width]` each; nothing without a prompt.
    fn prompted(&self, batch: &DenoiserInput) -> Result<Option<Vec<Tensor>>> {
        let tokens = batch.prompt_for(self.config.prompt)?;
        let (Some(layer), Some(Tokens { values, mask })) = (&self.prompt, tokens) else { return Ok(None) };
        let mean = |sum: Tensor, count: &Tensor| sum.f_div(count).op("div", &[&sum, count]);
        let parts = match mask {
            None => layer.forward(&values.f_mean_dim([1i64].as_slice(), false, Kind::Float).op("mean", &[values])?)?,
            Some(mask) => {
                let there = mask.f_to_kind(Kind::Float).op("to", &[mask])?.f_unsqueeze(-1).op("unsqueeze", &[mask])?;
                let kept = values.f_mul(&there).op("mul", &[values, &there])?;
                let over = |tensor: &Tensor| tensor.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
                let count = over(&there).op("sum", &[&there])?.f_clamp_min(1.0).op("clamp_min", &[&there])?;
                let any = there.f_amax([1i64].as_slice(), false).op("amax", &[&there])?;
                let parts = layer.forward(&mean(over(&kept).op("sum", &[&kept])?, &count)?)?;
                parts.f_mul(&any).op("mul", &[&parts, &any])?
            }
        };
        Ok(Some(parts.f_split(self.config.width, -1).op("split", &[&parts])?))
    }

    /// The time layers of all blocks in one multiplication, for each by itself is too small to pay for the call.
    fn fresh(&self, embedding: &Tensor, prompt: Option<&[Tensor]>) -> Result<Signal<'_>> {
        let layers: Vec<&Linear> = self.blocks.iter().map(|block| &block.time).collect();
        let parts = Linear::side_by_side(&layers, embedding)?;
        let parts = parts.f_split(self.config.width, -1).op("split", &[&parts])?;
        let Some(prompt) = prompt else { return Ok(Signal::Fresh(parts)) };
        let added = parts.iter().zip(prompt).map(|(part, more)| part.f_add(more).op("add", &[part, more]));
        Ok(Signal::Fresh(added.collect::<Result<_>>()?))
    }

    fn trunk(&self, batch: &DenoiserInput, signal: &Signal) -> Result<Tensor> {
        let x = streams::join(&self.streams, batch)?;
        let mut h = cast(&self.input.forward(&x)?, Kind::Float)?;
        for (index, block) in self.blocks.iter().enumerate() {
            h = block.forward(h, index, signal)?;
        }
        let output = self.output.forward(&silu(self.output_norm.forward(&h)?)?)?;
        cast(&output, Kind::Float)
    }
}

impl Block {
    fn new(index: usize, config: &ResidualMlpConfig, init: Init) -> Result<Self> {
        let (width, embedding) = (config.width, config.embedding.unwrap_or(config.width));
        let name = |layer: &str| format!("blocks.{index}.{layer}");
        let (inner, parts) = match config.modulation {
            Modulation::Shift => (None, 1),
            Modulation::ScaleShift => (Some(Norm::new(&name("inner"), width, 1, init.device)?), 2),
        };
        Ok(Block {
            norm: Norm::new(&name("norm"), width, 1, init.device)?,
            up: Linear::new(&name("up"), width, width, 1.0, init)?,
            inner,
            time: Linear::new(&name("time"), embedding, parts * width, 1.0, init)?,
            down: Linear::new(&name("down"), width, width, BLOCK_SCALE, init)?,
        })
    }

    fn forward(&self, h: Tensor, index: usize, signal: &Signal) -> Result<Tensor> {
        let x = silu(self.norm.forward(&h)?)?;
        let inside = match (&self.inner, signal) {
            (None, Signal::Projected(projected)) => self.up.forward_with(projected.part(index), &x)?,
            (None, Signal::Fresh(parts)) => add(self.up.forward(&x)?, &parts[index])?,
            (Some(inner), Signal::Projected(projected)) => {
                inner.forward_with(&self.up.forward(&x)?, projected.part(2 * index), projected.part(2 * index + 1))?
            }
            (Some(inner), Signal::Fresh(parts)) => {
                let (scale, shift) = (&parts[2 * index], &parts[2 * index + 1]);
                let normal = inner.forward(&self.up.forward(&x)?)?;
                let scaled = normal.f_addcmul(&normal, scale).op("addcmul", &[&normal, scale])?;
                add(scaled, shift)?
            }
        };
        self.down.add_to(h, &silu(inside)?)
    }

    /// The layers that make the parts of [`Signal::Projected`] out of the embedding. What follows the times linearly
    /// is folded into them: the bias of `up`, or the scale w and the bias b of the inner norm, as
    /// (1 + scale) (w n + b) + shift = (w + w scale) n + (b + b scale + shift).
    fn parts(&self) -> Result<Vec<(Tensor, Tensor)>> {
        let (weight, bias) = self.time.plain()?;
        let Some(inner) = &self.inner else {
            let (_, up) = self.up.plain()?;
            return Ok(vec![(weight, bias.f_add(&up).op("add", &[&bias, &up])?)]);
        };
        let (w, b) = inner.plain()?;
        let (weights, biases) = (halves(&weight)?, halves(&bias)?);
        let rows = |column: &Tensor| column.f_unsqueeze(-1).op("unsqueeze", &[column]);
        let one_more = biases[0].f_add_scalar(1.0).op("add", &[&bias])?;
        let scale = (mul(&rows(&w)?, &weights[0])?, mul(&w, &one_more)?);
        let shift = (add(mul(&rows(&b)?, &weights[0])?, &weights[1])?, add(mul(&b, &one_more)?, &biases[1])?);
        Ok(vec![scale, shift])
    }

    fn freeze(&mut self) -> Result<()> {
        self.norm.freeze()?;
        self.inner.iter_mut().try_for_each(Norm::freeze)?;
        [&mut self.up, &mut self.time, &mut self.down].into_iter().try_for_each(Linear::freeze)
    }

    fn list(&self, named: &mut Vec<(String, Tensor)>) {
        self.norm.list(named);
        self.up.list(named);
        self.inner.iter().for_each(|norm| norm.list(named));
        self.time.list(named);
        self.down.list(named);
    }
}

fn halves(tensor: &Tensor) -> Result<Vec<Tensor>> {
    tensor.f_chunk(2, 0).op("chunk", &[tensor])
}

fn mul(left: &Tensor, right: &Tensor) -> Result<Tensor> {
    left.f_mul(right).op("mul", &[left, right])
}

impl Denoiser for ResidualMlp {
    fn streams(&self) -> &[StreamSpec] {
        &self.streams
    }

    fn predict(&self, batch: &DenoiserInput) -> Result<Vec<Tensor>> {
        let prompt = self.prompted(batch)?;
        let output = match (&self.projections, &batch.times) {
            // With a prompt, what is kept of the times would have to be taken apart again.
            (Some(projections), Times::Runs(runs)) if prompt.is_none() => {
                let mut projections = projections.borrow_mut();
                let projected = projections.project(runs, |t, present| self.embed(t, present))?;
                self.trunk(batch, &Signal::Projected(projected))?
            }
            _ => {
                let embedding = self.embed(&batch.t()?, &batch.present()?)?;
                self.trunk(batch, &self.fresh(&embedding, prompt.as_deref())?)?
            }
        };
        streams::split(&self.streams, &output)
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        let mut named = Vec::new();
        self.input.list(&mut named);
        self.time.list(&mut named);
        self.prompt.iter().for_each(|layer| layer.list(&mut named));
        self.blocks.iter().for_each(|block| block.list(&mut named));
        self.output_norm.list(&mut named);
        self.output.list(&mut named);
        named
    }

    fn freeze(&mut self) -> Result<()> {
        self.input.freeze()?;
        self.time.freeze()?;
        self.prompt.iter_mut().try_for_each(Linear::freeze)?;
        self.blocks.iter_mut().try_for_each(Block::freeze)?;
        self.output_norm.freeze()?;
        self.output.freeze()?;
        let mut parts = Vec::new();
        for block in &self.blocks {
            parts.extend(block.parts()?);
        }
        self.projections = Some(RefCell::new(Projections::new(&parts, self.config.width)?));
        Ok(())
    }
}
