//! The block of a transformer that the times modulate.

use tch::{Kind, Tensor};

use super::super::attention::{Attention, FeedForward};
use super::super::cross_attention::{CrossAttention, Memory};
use super::super::layer::{BuildOptions, Linear, add, cast};
use super::Options;
use crate::{Result, TensorExt};

/// Added to the variance: Peebles & Xie 2023, their code.
const NORM_EPS: f64 = 1e-6;

/// The times that modulate the tokens of each stream.
pub(super) struct TimeConditioning<'a> {
    /// `[row, stream, width]`, after its activation.
    pub times: &'a Tensor,
    /// The stream of each token, `[token]`, i64; `None` for a single stream.
    pub owner: Option<&'a Tensor>,
}

impl TimeConditioning<'_> {
    /// The `count` parts that a layer computes from the times: `[row, token or 1, width]` each, f32.
    fn parts(&self, layer: &Linear, count: i64) -> Result<Vec<Tensor>> {
        let parts = cast(&layer.forward(self.times)?, Kind::Float)?;
        let parts = match self.owner {
            None => parts,
            Some(owner) => parts.try_index_select(1, owner)?,
        };
        parts.try_chunk(count, -1)
    }
}

/// shift + (1 + scale) norm(h), with shift and scale computed from the times: zero at the start, when it is a plain
/// norm.
#[derive(Debug)]
pub(super) struct AdaLayerNorm(Linear);

impl AdaLayerNorm {
    pub fn new(name: &str, width: i64, init: BuildOptions) -> Result<Self> {
        Linear::new(&format!("{name}.modulation"), width, 2 * width, 0.0, init).map(AdaLayerNorm)
    }

    /// `[row, token, width]` -> the same, f32.
    pub fn forward(&self, h: &Tensor, conditioning: &TimeConditioning) -> Result<Tensor> {
        let parts = conditioning.parts(&self.0, 2)?;
        modulated(h, &parts[0], &parts[1])
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        self.0.list(named);
    }

    pub fn freeze(&mut self) -> Result<()> {
        self.0.freeze()
    }
}

/// h <- h + gate attention(shift + (1 + scale) norm(h)), then cross-attention, then the same with a feed-forward layer:
/// adaLN-Zero of Peebles & Xie 2023, "Scalable diffusion models with transformers", section 3.2. Shifts, scales and
/// gates are computed from the time of the token's stream and start at zero.
#[derive(Debug)]
pub(super) struct Block {
    modulation: Linear,
    attention: Attention,
    pub prompt: Option<CrossAttention>,
    pub context: Option<CrossAttention>,
    feed_forward: FeedForward,
}

impl Block {
    pub fn new(index: usize, config: &Options, init: BuildOptions) -> Result<Self> {
        let width = config.width;
        let heads = config.num_attention_heads;
        let name = |layer: &str| format!("blocks.{index}.{layer}");
        let cross = |layer: &str, from: Option<i64>| {
            from.map(|from| CrossAttention::new(&name(layer), width, from, heads, index, init)).transpose()
        };
        Ok(Block {
            modulation: Linear::new(&name("modulation"), width, 6 * width, 0.0, init)?,
            attention: Attention::new(&name("attn"), width, width, heads, 1.0, init)?,
            prompt: cross("prompt", init.prompt)?,
            context: cross("context", init.context)?,
            feed_forward: FeedForward::new(&name("ff"), width, init)?,
        })
    }

    /// `[row, token, width]` -> the same, f32; `mask` `[row, 1, 1, token]`.
    pub fn forward(
        &self,
        h: Tensor,
        conditioning: &TimeConditioning,
        mask: Option<&Tensor>,
        memory: [&Memory; 2],
    ) -> Result<Tensor> {
        let parts = conditioning.parts(&self.modulation, 6)?;
        let normal = modulated(&h, &parts[0], &parts[1])?;
        let change = self.attention.forward(&normal, &self.attention.keys(&normal)?, mask)?;
        let mut h = gated(&h, &change, &parts[2])?;
        for (layer, memory) in [&self.prompt, &self.context].into_iter().zip(memory) {
            if let Some(change) = layer.as_ref().map(|layer| layer.read(&h, memory)).transpose()?.flatten() {
                h = add(h, &change)?;
            }
        }
        let change = self.feed_forward.forward(&modulated(&h, &parts[3], &parts[4])?)?;
        gated(&h, &change, &parts[5])
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        self.modulation.list(named);
        self.attention.list(named);
        self.prompt.iter().chain(&self.context).for_each(|cross| cross.list(named));
        self.feed_forward.list(named);
    }

    pub fn freeze(&mut self) -> Result<()> {
        self.modulation.freeze()?;
        self.attention.freeze()?;
        self.prompt.iter_mut().chain(&mut self.context).try_for_each(CrossAttention::freeze)?;
        self.feed_forward.freeze()
    }
}

fn modulated(h: &Tensor, shift: &Tensor, scale: &Tensor) -> Result<Tensor> {
    let width = &h.size()[2..];
    let normal = h.try_layer_norm(width, None, None, NORM_EPS)?;
    add(normal.try_addcmul(&normal, scale)?, shift)
}

fn gated(h: &Tensor, change: &Tensor, gate: &Tensor) -> Result<Tensor> {
    let change = cast(change, Kind::Float)?;
    h.try_addcmul(&change, gate)
}
