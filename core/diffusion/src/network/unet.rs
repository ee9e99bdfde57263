//! A U-Net over streams that are maps, with the layers of diffusers' `UNet2DConditionModel`.

mod builder;
mod level;
mod maps;
mod resnet;
mod spatial;
mod temporal;

use std::cell::RefCell;

use anyflow_config::network::{Architecture, Unet as Options};
use anyflow_config::{Site, SiteSpec};
use tch::{Kind, Tensor};

use super::attention::{Keys, repeated};
use super::conv::{Conv, concat};
use super::cross_attention::{KeyCache, Memory};
use super::layer::{BuildOptions, Norm, cast, silu};
use super::sinusoidal::{SinusoidalEmbedding, VectorEmbedding};
use super::streams::shapes;
use super::time::{Projected, Projections};
use crate::site::Reader;
use crate::{Denoiser, DenoiserInput, Result, StreamSpec, TensorExt, Times, Tokens};
use builder::Builder;
use level::{Level, Middle, Pass};
use maps::Common;
use resnet::Resnet;
use spatial::TransformerBlock;

/// Rombach et al. 2022 (latent diffusion models, arXiv 2112.10752): residual blocks and attention at several sizes of
/// the map, on the way down and, with skip connections, on the way up. Names and shapes of the parameters are those of
/// diffusers' `UNet2DConditionModel`, so that published weights load; with the same weights, time t = (k + 1) / 1000
/// and its step k, the outputs are equal.
///
/// Streams are `[channel, height, width]`, of one size, concatenated along the channels; absent ones are zero. With
/// several streams the first layer of the time embedding takes the times and presences of all of them. Cross-attention
/// layers attend to the prompt; without one they output their bias. Planes lie behind the channels of the streams; vectors are
/// added to the embedding of the time. The context, if any, is attended to after the
/// prompt, by layers that start at zero. The output layer starts at zero.
///
/// Frames of streams `[frame, channel, height, width]` are rows of the map, joined by layers that start at zero.
#[derive(Debug)]
pub struct Unet {
    streams: Vec<StreamSpec>,
    common: Common,
    config: Options,
    options: BuildOptions,
    input: Conv,
    time: SinusoidalEmbedding,
    vectors: Option<VectorEmbedding>,
    down: Vec<Level>,
    middle: Middle,
    up: Vec<Level>,
    output_norm: Norm,
    output: Conv,
    /// Once frozen.
    kept: Option<RefCell<Kept>>,
}

/// The cache of a frozen network.
#[derive(Debug)]
struct Kept {
    projections: Projections,
    prompt: KeyCache,
}

/// The times as the blocks take them.
enum Signal {
    /// `[row, embedding]`, after its activation.
    Embedded(Tensor),
    /// The time projections of all blocks, `[projected]` or `[row, projected]`, each with the bias of its first layer.
    Projected(Tensor),
}

impl Unet {
    /// A fresh network; see [`crate::build`].
    pub(super) fn new(streams: &[StreamSpec], config: &Options, init: BuildOptions) -> Result<Self> {
        let common = Common::of(&streams[0]);
        let channels: i64 = streams.iter().map(maps::channels).sum();
        let widths = config.block_out_channels.clone();
        let finest = widths[0];
        let coarsest = widths[widths.len() - 1];
        let embedding = 4 * finest;
        let groups = config.norm_num_groups;
        let mut builder = Builder { config, init, groups, embedding, projected: 0, blocks: 0, readers: 0 };
        let mut down = Vec::new();
        let mut up = Vec::new();
        let mut skips = vec![finest];
        let mut width = finest;
        for (level, channels) in widths.iter().enumerate() {
            down.push(Level::down(level, width, &mut builder)?);
            let halved = usize::from(level + 1 < widths.len());
            skips.extend(std::iter::repeat_n(*channels, config.layers_per_block + halved));
            width = *channels;
        }
        let middle = Middle::new(coarsest, &mut builder)?;
        for (level, channels) in widths.iter().enumerate().rev() {
            up.push(Level::up(level, width, &mut skips, &mut builder)?);
            width = *channels;
        }
        Ok(Unet {
            streams: streams.to_vec(),
            common,
            input: Conv::new("conv_in", channels + init.planes, finest, 3, 1.0, init)?,
            time: SinusoidalEmbedding::new(streams.len(), finest, embedding, init)?,
            vectors: init.vectors.map(|numbers| VectorEmbedding::new(numbers, embedding, init)).transpose()?,
            down,
            middle,
            up,
            output_norm: Norm::new("conv_norm_out", finest, groups, init.device)?.with_eps(config.norm_eps),
            output: Conv::new("conv_out", finest, channels, 3, 0.0, init)?,
            kept: None,
            config: config.clone(),
            options: init,
        })
    }

    fn trunk(&self, batch: &DenoiserInput, pass: &Pass, reader: &mut Reader) -> Result<Tensor> {
        let mut x = maps::join(&self.streams, self.common, batch)?;
        if let Some(planes) = batch.planes_for(self.options.planes)? {
            x = concat(&x, &maps::as_map(planes, self.common)?)?;
        }
        let mut h = cast(&self.input.forward(&x)?, Kind::Float)?;
        let mut skips = vec![h.shallow_clone()];
        for (index, level) in self.down.iter().enumerate() {
            let (features, next) = level.descend(h, &mut skips, pass)?;
            reader.offer(Site::Down(index), &features)?;
            h = next;
        }
        h = self.middle.forward(&h, pass)?;
        reader.offer(Site::Middle, &h)?;
        for (index, level) in self.up.iter().enumerate() {
            let (features, next) = level.ascend(h, &mut skips, pass)?;
            reader.offer(self.config.up_site(index), &features)?;
            h = next;
        }
        cast(&self.output.forward(&silu(self.output_norm.forward(&h)?)?)?, Kind::Float)
    }

    /// `[row * frame, ...]` -> `[row, frame, ...]`, if the streams have frames.
    fn framed(&self, rows: Tensor) -> Result<Tensor> {
        match self.streams[0].shape.len() {
            4 => rows.try_unflatten(0, [-1, self.common.frames]),
            _ => Ok(rows),
        }
    }

    fn signal(&self, batch: &DenoiserInput) -> Result<Signal> {
        let frames = self.common.frames;
        let joined = batch.vectors_for(self.options.vectors)?;
        match (&self.kept, &batch.times) {
            // With vectors the embedding is that of a row, not of a time.
            (Some(kept), Times::Runs(runs)) if joined.is_none() => {
                let mut kept = kept.borrow_mut();
                let projected = kept.projections.project(runs, |t, present| silu(self.time.forward(t, present)?))?;
                let all = projected.part(0);
                Ok(Signal::Projected(match &projected {
                    Projected::Shared(_) => all.shallow_clone(),
                    Projected::Rows(_) => repeated(all, frames)?,
                }))
            }
            _ => {
                let mut embedding = self.time.forward(&batch.t()?, &batch.present()?)?;
                if let (Some(layers), Some(vectors)) = (&self.vectors, joined) {
                    embedding = embedding.try_add(&layers.forward(vectors)?)?;
                }
                Ok(Signal::Embedded(repeated(&silu(embedding)?, frames)?))
            }
        }
    }

    /// The prompt as the layers attend to it; a frozen network keeps its keys.
    fn prompt(&self, tokens: Option<&Tokens>) -> Result<Memory> {
        let keys = |tokens: &Tensor| -> Result<Vec<Keys>> {
            self.transformer_blocks().filter_map(|block| block.prompt_keys(tokens)).collect()
        };
        match (&self.kept, tokens) {
            (_, None) => Ok(Memory::nothing()),
            (None, Some(tokens)) => Memory::new(keys(&tokens.values)?, tokens, self.common.frames),
            (Some(kept), Some(tokens)) => kept.borrow_mut().prompt.memory(tokens, self.common.frames, keys),
        }
    }

    /// The context as the layers attend to it.
    fn context(&self, tokens: Option<&Tokens>) -> Result<Memory> {
        let Some(tokens) = tokens else { return Ok(Memory::nothing()) };
        let keys = self.levels().flat_map(|level| level.context_keys(&tokens.values));
        Memory::new(keys.collect::<Result<_>>()?, tokens, self.common.frames)
    }

    fn levels(&self) -> impl Iterator<Item = &Level> {
        self.down.iter().chain(&self.up)
    }

    fn resnets(&self) -> impl Iterator<Item = &Resnet> {
        let down = self.down.iter();
        let up = self.up.iter();
        down.flat_map(Level::resnets).chain(self.middle.resnets()).chain(up.flat_map(Level::resnets))
    }

    fn transformer_blocks(&self) -> impl Iterator<Item = &TransformerBlock> {
        let down = self.down.iter();
        let up = self.up.iter();
        down.flat_map(Level::attention).chain(self.middle.attention()).chain(up.flat_map(Level::attention))
    }
}

impl Denoiser for Unet {
    fn streams(&self) -> &[StreamSpec] {
        &self.streams
    }

    fn predict(&self, batch: &DenoiserInput) -> Result<Vec<Tensor>> {
        Ok(self.predict_with(batch, &[])?.0)
    }

    fn sites(&self) -> Vec<SiteSpec> {
        self.config.sites(&shapes(&self.streams))
    }

    fn predict_with(&self, batch: &DenoiserInput, sites: &[Site]) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        let prompt = self.prompt(batch.prompt_for(self.options.prompt)?)?;
        let context = self.context(batch.context_for(self.options.context)?)?;
        let frames = self.common.frames;
        let pass = Pass { signal: self.signal(batch)?, prompt: &prompt, context: &context, frames };
        let mut reader = Reader::new(sites, || self.sites())?;
        let map = self.trunk(batch, &pass, &mut reader)?;
        let features = reader.features();
        let features = features.into_iter().map(|features| self.framed(features)).collect::<Result<_>>()?;
        Ok((maps::split(&self.streams, self.common, &map)?, features))
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        let mut named = Vec::new();
        self.input.list(&mut named);
        self.time.list(&mut named);
        self.vectors.iter().for_each(|layers| layers.list(&mut named));
        self.down.iter().for_each(|level| level.list(&mut named));
        self.middle.list(&mut named);
        self.up.iter().for_each(|level| level.list(&mut named));
        self.output_norm.list(&mut named);
        self.output.list(&mut named);
        named
    }

    fn freeze(&mut self) -> Result<()> {
        self.input.freeze()?;
        self.time.freeze()?;
        self.vectors.iter_mut().try_for_each(VectorEmbedding::freeze)?;
        self.down.iter_mut().try_for_each(Level::freeze)?;
        self.middle.freeze()?;
        self.up.iter_mut().try_for_each(Level::freeze)?;
        self.output_norm.freeze()?;
        self.output.freeze()?;
        let parts = self.resnets().map(Resnet::part).collect::<Result<Vec<_>>>()?;
        let width = parts.iter().map(|(_, bias)| bias.numel() as i64).sum();
        self.kept =
            Some(RefCell::new(Kept { projections: Projections::new(&parts, width)?, prompt: KeyCache::default() }));
        Ok(())
    }
}
