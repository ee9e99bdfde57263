//! A residual MLP over the concatenation of all streams, with a time and a presence per stream.

use std::cell::RefCell;

use anyflow_config::network::{Architecture, ResidualMlp as Options};
use anyflow_config::{Site, SiteSpec};
use tch::{Kind, Tensor};

use super::attention::Keys;
use super::cross_attention::{CrossAttention, KeyCache, Memory};
use super::layer::{BuildOptions, Linear, Norm, add, cast, silu};
use super::time::{Activation, Projected, Projections, TimeEmbedding, TimeFeatures};
use super::{check_part, streams};
use crate::site::Reader;
use crate::{Denoiser, DenoiserInput, EngineError, Result, StreamSpec, TensorExt, Times, Tokens, check_streams};

/// The init scale of a block's last layer: every block starts near the identity.
const BLOCK_SCALE: f64 = 0.01;

/// What a configuration does not say about the layers of a [`ResidualMlp`]. The defaults are those of [`crate::build`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MlpLayers {
    /// How the times modulate a block.
    pub modulation: Modulation,
    /// The representation of the times at the input.
    pub time: TimeFeatures,
    /// The width of the time embedding; that of the hidden layers if not given.
    pub embedding: Option<i64>,
    /// True if the network gets the presence of the streams; without it, an absent stream looks like one of zeros.
    pub presence: bool,
}

impl Default for MlpLayers {
    fn default() -> Self {
        MlpLayers { modulation: Modulation::Shift, time: TimeFeatures::Fourier, embedding: None, presence: true }
    }
}

/// How the times modulate a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Modulation {
    /// They are added inside it.
    Shift,
    /// They scale and shift it after a second norm: Perez et al. 2018, "FiLM", eq. (2).
    ScaleShift,
}

/// h = input(x); per block, with e the embedding of the times and presences of all streams,
///
/// - shift: h <- h + down(silu(up(silu(norm(h))) + time(e))),
/// - scale-shift: h <- h + down(silu((1 + scale) inner(up(silu(norm(h)))) + shift)), [scale, shift] = time(silu(e));
///
/// then output(silu(norm(h))). The output layer starts at zero. After each block h attends to the prompt, then to the
/// context, if the network has them, through layers that start at zero.
///
/// Designed for vector latents; other shapes are flattened.
#[derive(Debug)]
pub struct ResidualMlp {
    streams: Vec<StreamSpec>,
    config: Options,
    layers: MlpLayers,
    options: BuildOptions,
    input: Linear,
    time: TimeEmbedding,
    blocks: Vec<Block>,
    output_norm: Norm,
    output: Linear,
    /// Once frozen.
    projections: Option<RefCell<Projections>>,
    /// Once frozen: the keys of the prompt and of the context.
    kept: Option<[RefCell<KeyCache>; 2]>,
}

#[derive(Debug)]
struct Block {
    norm: Norm,
    up: Linear,
    /// With scale-shift.
    inner: Option<Norm>,
    time: Linear,
    down: Linear,
    prompt: Option<CrossAttention>,
    context: Option<CrossAttention>,
}

/// The times as the blocks take them.
enum Signal<'a> {
    /// The outputs of the time layers, `[row, width]`: one part per block, or two with scale-shift.
    Fresh(Vec<Tensor>),
    /// The same, with the linear operations after it folded in, as in [`Block::parts`].
    Projected(Projected<'a>),
}

impl ResidualMlp {
    /// Builds a network with other layers than those of [`crate::build`].
    ///
    /// # Errors
    /// As [`crate::build`]; an embedding without a width.
    pub fn build(
        streams: &[StreamSpec],
        config: &Options,
        layers: MlpLayers,
        options: &BuildOptions,
    ) -> Result<Box<dyn Denoiser>> {
        check_streams(streams)?;
        check_part(&config.clone().into(), streams, options)?;
        if let Some(embedding) = layers.embedding.filter(|embedding| *embedding < 1) {
            let found = embedding.to_string();
            return Err(EngineError::Config { field: "embedding", wanted: "at least 1", found });
        }
        Ok(Box::new(ResidualMlp::new(streams, config, layers, *options)?))
    }

    /// A fresh network; see [`crate::build`].
    pub(super) fn new(streams: &[StreamSpec], config: &Options, layers: MlpLayers, init: BuildOptions) -> Result<Self> {
        let width = config.width;
        let elements = streams::elements(streams);
        let embedding = layers.embedding.unwrap_or(width);
        let block = |index| Block::new(index, config, layers, init);
        Ok(ResidualMlp {
            streams: streams.to_vec(),
            input: Linear::new("input", elements, width, 1.0, init)?,
            time: TimeEmbedding::new(streams.len(), embedding, layers.time, layers.presence, Activation::Silu, init)?,
            blocks: (0..config.blocks).map(block).collect::<Result<_>>()?,
            output_norm: Norm::new("output.norm", width, 1, init.device)?,
            output: Linear::new("output", width, elements, 0.0, init)?,
            projections: None,
            kept: None,
            config: config.clone(),
            layers,
            options: init,
        })
    }

    /// The embedding as the blocks take it.
    fn embed(&self, t: &Tensor, present: &Tensor) -> Result<Tensor> {
        let embedding = self.time.forward(t, present)?;
        match self.layers.modulation {
            Modulation::Shift => Ok(embedding),
            Modulation::ScaleShift => silu(embedding),
        }
    }

    /// The time layers of all blocks in one multiplication: each alone is too small to be worth a call.
    fn fresh(&self, embedding: &Tensor) -> Result<Signal<'_>> {
        let layers: Vec<&Linear> = self.blocks.iter().map(|block| &block.time).collect();
        let parts = Linear::side_by_side(&layers, embedding)?;
        Ok(Signal::Fresh(parts.try_split(self.config.width, -1)?))
    }

    fn trunk(&self, batch: &DenoiserInput, signal: &Signal, reader: &mut Reader) -> Result<Tensor> {
        let prompt = self.prompt(batch.prompt_for(self.options.prompt)?)?;
        let context = self.context(batch.context_for(self.options.context)?)?;
        let x = streams::join(&self.streams, batch)?;
        let mut h = cast(&self.input.forward(&x)?, Kind::Float)?;
        for (index, block) in self.blocks.iter().enumerate() {
            h = block.forward(h, index, signal)?;
            h = read(block.prompt.as_ref(), h, &prompt)?;
            h = read(block.context.as_ref(), h, &context)?;
            reader.offer(Site::Block(index), &h)?;
            if index + 1 == self.config.blocks.div_ceil(2) {
                reader.offer(Site::Middle, &h)?;
            }
        }
        reader.offer(Site::Last, &h)?;
        let output = self.output.forward(&silu(self.output_norm.forward(&h)?)?)?;
        cast(&output, Kind::Float)
    }

    /// The prompt as the blocks attend to it.
    fn prompt(&self, tokens: Option<&Tokens>) -> Result<Memory> {
        self.memory(tokens, 0, |block| block.prompt.as_ref())
    }

    /// The context as the blocks attend to it.
    fn context(&self, tokens: Option<&Tokens>) -> Result<Memory> {
        self.memory(tokens, 1, |block| block.context.as_ref())
    }

    /// The keys of these layers of the blocks; a frozen network keeps them at an index.
    fn memory(
        &self,
        tokens: Option<&Tokens>,
        index: usize,
        layer: fn(&Block) -> Option<&CrossAttention>,
    ) -> Result<Memory> {
        let keys = |tokens: &Tensor| -> Result<Vec<Keys>> {
            self.blocks.iter().filter_map(layer).map(|layer| layer.keys(tokens)).collect()
        };
        match (&self.kept, tokens) {
            (_, None) => Ok(Memory::nothing()),
            (None, Some(tokens)) => Memory::new(keys(&tokens.values)?, tokens, 1),
            (Some(kept), Some(tokens)) => kept[index].borrow_mut().memory(tokens, 1, keys),
        }
    }
}

/// Adds the cross-attention of this layer to h, `[row, width]`.
fn read(layer: Option<&CrossAttention>, h: Tensor, memory: &Memory) -> Result<Tensor> {
    let Some(layer) = layer else { return Ok(h) };
    match layer.read(&h.try_unsqueeze(1)?, memory)? {
        None => Ok(h),
        Some(change) => add(h, &change.try_squeeze(1)?),
    }
}

impl Block {
    fn new(index: usize, config: &Options, layers: MlpLayers, init: BuildOptions) -> Result<Self> {
        let width = config.width;
        let embedding = layers.embedding.unwrap_or(width);
        let name = |layer: &str| format!("blocks.{index}.{layer}");
        let (inner, parts) = match layers.modulation {
            Modulation::Shift => (None, 1),
            Modulation::ScaleShift => (Some(Norm::new(&name("inner"), width, 1, init.device)?), 2),
        };
        let cross = |layer: &str, from: Option<i64>| {
            let new = |from| CrossAttention::new(&name(layer), width, from, config.heads(), index, init);
            from.map(new).transpose()
        };
        Ok(Block {
            prompt: cross("prompt", init.prompt)?,
            context: cross("context", init.context)?,
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
                let scale = &parts[2 * index];
                let shift = &parts[2 * index + 1];
                let normal = inner.forward(&self.up.forward(&x)?)?;
                let scaled = normal.try_addcmul(&normal, scale)?;
                add(scaled, shift)?
            }
        };
        self.down.add_to(h, &silu(inside)?)
    }

    /// The weights and biases that compute the parts of [`Signal::Projected`] from the embedding. Linear operations
    /// after the time layers are folded in: the bias of `up`, or the scale w and the bias b of the inner norm, as (1 +
    /// scale) (w n + b) + shift = (w + w scale) n + (b + b scale + shift).
    fn parts(&self) -> Result<Vec<(Tensor, Tensor)>> {
        let (weight, bias) = self.time.plain()?;
        let Some(inner) = &self.inner else {
            let (_, up) = self.up.plain()?;
            return Ok(vec![(weight, bias.try_add(&up)?)]);
        };
        let (w, b) = inner.plain()?;
        let weights = halves(&weight)?;
        let biases = halves(&bias)?;
        let rows = |column: &Tensor| column.try_unsqueeze(-1);
        let one_more = biases[0].try_add_scalar(1.0)?;
        let scale = (mul(&rows(&w)?, &weights[0])?, mul(&w, &one_more)?);
        let shift = (add(mul(&rows(&b)?, &weights[0])?, &weights[1])?, add(mul(&b, &one_more)?, &biases[1])?);
        Ok(vec![scale, shift])
    }

    fn freeze(&mut self) -> Result<()> {
        self.norm.freeze()?;
        self.inner.iter_mut().try_for_each(Norm::freeze)?;
        let cross = self.prompt.iter_mut().chain(&mut self.context);
        cross.into_iter().try_for_each(CrossAttention::freeze)?;
        [&mut self.up, &mut self.time, &mut self.down].into_iter().try_for_each(Linear::freeze)
    }

    fn list(&self, named: &mut Vec<(String, Tensor)>) {
        self.norm.list(named);
        self.up.list(named);
        self.inner.iter().for_each(|norm| norm.list(named));
        self.time.list(named);
        self.down.list(named);
        self.prompt.iter().chain(&self.context).for_each(|cross| cross.list(named));
    }
}

fn halves(tensor: &Tensor) -> Result<Vec<Tensor>> {
    tensor.try_chunk(2, 0)
}

fn mul(left: &Tensor, right: &Tensor) -> Result<Tensor> {
    left.try_mul(right)
}

impl Denoiser for ResidualMlp {
    fn streams(&self) -> &[StreamSpec] {
        &self.streams
    }

    fn predict(&self, batch: &DenoiserInput) -> Result<Vec<Tensor>> {
        Ok(self.predict_with(batch, &[])?.0)
    }

    fn sites(&self) -> Vec<SiteSpec> {
        self.config.sites(&streams::shapes(&self.streams))
    }

    fn predict_with(&self, batch: &DenoiserInput, sites: &[Site]) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        let mut reader = Reader::new(sites, || self.sites())?;
        let output = match (&self.projections, &batch.times) {
            (Some(projections), Times::Runs(runs)) => {
                let mut projections = projections.borrow_mut();
                let projected = projections.project(runs, |t, present| self.embed(t, present))?;
                self.trunk(batch, &Signal::Projected(projected), &mut reader)?
            }
            _ => {
                let signal = self.fresh(&self.embed(&batch.t()?, &batch.present()?)?)?;
                self.trunk(batch, &signal, &mut reader)?
            }
        };
        Ok((streams::split(&self.streams, &output)?, reader.features()))
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        let mut named = Vec::new();
        self.input.list(&mut named);
        self.time.list(&mut named);
        self.blocks.iter().for_each(|block| block.list(&mut named));
        self.output_norm.list(&mut named);
        self.output.list(&mut named);
        named
    }

    fn freeze(&mut self) -> Result<()> {
        self.input.freeze()?;
        self.time.freeze()?;
        self.blocks.iter_mut().try_for_each(Block::freeze)?;
        self.output_norm.freeze()?;
        self.output.freeze()?;
        let mut parts = Vec::new();
        for block in &self.blocks {
            parts.extend(block.parts()?);
        }
        self.projections = Some(RefCell::new(Projections::new(&parts, self.config.width)?));
        self.kept = Some(Default::default());
        Ok(())
    }
}
