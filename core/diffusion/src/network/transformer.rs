//! A transformer over the tokens of all streams.

mod block;
mod patches;

use std::cell::RefCell;

use anyflow_config::network::{Architecture, PatchLayout, Transformer as Options};
use anyflow_config::{Site, SiteSpec};
use tch::{Kind, Tensor};

use super::attention::Keys;
use super::cross_attention::{CrossAttention, KeyCache, Memory};
use super::layer::{BuildOptions, cast, silu};
use super::sinusoidal::SinusoidalEmbedding;
use super::streams::{present_values, shapes};
use crate::site::Reader;
use crate::{Denoiser, DenoiserInput, Result, StreamSpec, TensorExt, Tokens};
use block::{AdaLayerNorm, Block, TimeConditioning};
use patches::PatchEmbedding;

/// Splits each stream into tokens; all tokens attend to each other, except those of absent streams. The time of each
/// stream modulates its tokens. Every block attends to the prompt and the context through layers that start at zero, as
/// the output layers do.
#[derive(Debug)]
pub struct Transformer {
    streams: Vec<StreamSpec>,
    config: Options,
    options: BuildOptions,
    patches: Vec<PatchEmbedding>,
    time: SinusoidalEmbedding,
    blocks: Vec<Block>,
    output_norm: AdaLayerNorm,
    /// The stream of each token, `[token]`, i64; `None` for a single stream.
    owner: Option<Tensor>,
    /// Once frozen.
    kept: Option<RefCell<KeyCache>>,
}

impl Transformer {
    /// A fresh network; see [`crate::build`].
    pub(super) fn new(streams: &[StreamSpec], config: &Options, init: BuildOptions) -> Result<Self> {
        let laid_out =
            streams.iter().filter_map(|stream| Some((stream, PatchLayout::new(&stream.shape, config.patch)?)));
        let patches = laid_out.map(|(stream, layout)| PatchEmbedding::new(stream, layout, config.width, init));
        let patches: Vec<PatchEmbedding> = patches.collect::<Result<_>>()?;
        let of = |(index, patches): (usize, &PatchEmbedding)| {
            std::iter::repeat_n(index as i64, patches.layout.tokens as usize)
        };
        let owner: Vec<i64> = patches.iter().enumerate().flat_map(of).collect();
        let owner = Tensor::try_from_slice(&owner)?.try_to_device(init.device)?;
        Ok(Transformer {
            streams: streams.to_vec(),
            config: config.clone(),
            options: init,
            time: SinusoidalEmbedding::new(1, config.width, config.width, init)?,
            blocks: (0..config.blocks).map(|index| Block::new(index, config, init)).collect::<Result<_>>()?,
            output_norm: AdaLayerNorm::new("output", config.width, init)?,
            owner: (streams.len() > 1).then_some(owner),
            patches,
            kept: None,
        })
    }

    /// All tokens, `[row, token, width]`, f32; absent streams are zero. Rejects wrong shapes.
    fn tokens(&self, batch: &DenoiserInput, present: Option<&Tensor>) -> Result<Tensor> {
        let rows = batch.rows() as usize;
        let mut parts = Vec::with_capacity(self.streams.len());
        for (index, ((stream, patches), x)) in self.streams.iter().zip(&self.patches).zip(&batch.x).enumerate() {
            stream.check_batch(x, rows)?;
            parts.push(patches.embed(&present_values(stream, index, x, present)?)?);
        }
        Tensor::try_cat(&parts, 1)
    }

    /// The mask of the tokens that are present, `[row, 1, 1, token]`, bool.
    fn mask(&self, present: Option<&Tensor>) -> Result<Option<Tensor>> {
        let (Some(present), Some(owner)) = (present, &self.owner) else { return Ok(None) };
        present.try_index_select(1, owner)?.try_gt(0.0)?.try_unsqueeze(1)?.try_unsqueeze(1).map(Some)
    }

    /// The embedding of every stream's time: `[row, stream, width]`.
    fn times(&self, batch: &DenoiserInput) -> Result<Tensor> {
        let t = batch.t()?;
        let column = t.try_reshape([-1, 1])?;
        let embedding = silu(self.time.forward(&column, &column)?)?;
        embedding.try_view([batch.rows(), self.streams.len() as i64, -1])
    }

    /// The prompt as the blocks attend to it; a frozen network keeps its keys.
    fn prompt(&self, tokens: Option<&Tokens>) -> Result<Memory> {
        let layers = || self.blocks.iter().filter_map(|block| block.prompt.as_ref());
        let keys = |tokens: &Tensor| -> Result<Vec<Keys>> { layers().map(|layer| layer.keys(tokens)).collect() };
        match (&self.kept, tokens) {
            (_, None) => Ok(Memory::nothing()),
            (None, Some(tokens)) => Memory::new(keys(&tokens.values)?, tokens, 1),
            (Some(kept), Some(tokens)) => kept.borrow_mut().memory(tokens, 1, keys),
        }
    }

    /// The context as the blocks attend to it.
    fn context(&self, tokens: Option<&Tokens>) -> Result<Memory> {
        let Some(tokens) = tokens else { return Ok(Memory::nothing()) };
        let layers = self.blocks.iter().filter_map(|block| block.context.as_ref());
        Memory::new(layers.map(|layer: &CrossAttention| layer.keys(&tokens.values)).collect::<Result<_>>()?, tokens, 1)
    }
}

impl Denoiser for Transformer {
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
        let mut reader = Reader::new(sites, || self.sites())?;
        let present = if batch.is_all_present() { None } else { Some(batch.present()?) };
        let mask = self.mask(present.as_ref())?;
        let times = self.times(batch)?;
        let conditioning = TimeConditioning { times: &times, owner: self.owner.as_ref() };
        let mut h = self.tokens(batch, present.as_ref())?;
        for (index, block) in self.blocks.iter().enumerate() {
            h = block.forward(h, &conditioning, mask.as_ref(), [&prompt, &context])?;
            reader.offer(Site::Block(index), &h)?;
            if index + 1 == self.config.blocks.div_ceil(2) {
                reader.offer(Site::Middle, &h)?;
            }
        }
        reader.offer(Site::Last, &h)?;
        let normal = self.output_norm.forward(&h, &conditioning)?;
        let mut first = 0;
        let mut outputs = Vec::with_capacity(self.streams.len());
        for (stream, patches) in self.streams.iter().zip(&self.patches) {
            let own = normal.try_narrow(1, first, patches.layout.tokens)?;
            outputs.push(cast(&patches.unembed(&own, stream)?, Kind::Float)?);
            first += patches.layout.tokens;
        }
        Ok((outputs, reader.features()))
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        let mut named = Vec::new();
        self.patches.iter().for_each(|patches| patches.list(&mut named));
        self.time.list(&mut named);
        self.blocks.iter().for_each(|block| block.list(&mut named));
        self.output_norm.list(&mut named);
        named
    }

    fn freeze(&mut self) -> Result<()> {
        self.patches.iter_mut().try_for_each(PatchEmbedding::freeze)?;
        self.time.freeze()?;
        self.blocks.iter_mut().try_for_each(Block::freeze)?;
        self.output_norm.freeze()?;
        self.kept = Some(RefCell::default());
        Ok(())
    }
}
