//! Attention between the positions of a map, and from them to the prompt.

use anyflow_config::Precision;
use tch::{Kind, Tensor};

use super::super::attention::{Attention, FeedForward, Keys};
use super::super::cross_attention::Memory;
use super::super::layer::{BuildOptions, Norm, NumberFormat, add, cast, fresh, plain, zeros};
use super::builder::Builder;
use crate::{Result, TensorExt};

/// The epsilon that diffusers adds to the variance in this norm only.
const SPATIAL_EPS: f64 = 1e-6;

/// proj_out(blocks(proj_in(norm(x)))) + x, with each position as a token.
#[derive(Debug)]
pub(super) struct Spatial {
    norm: Norm,
    input: PositionLinear,
    pub blocks: Vec<TransformerBlock>,
    output: PositionLinear,
}

impl Spatial {
    pub fn new(name: &str, width: i64, level: usize, builder: &mut Builder) -> Result<Self> {
        let linear = |layer: &str| {
            PositionLinear::new(&format!("{name}.{layer}"), width, builder.config.use_linear_projection, builder.init)
        };
        let input = linear("proj_in")?;
        let output = linear("proj_out")?;
        let norm =
            Norm::new(&format!("{name}.norm"), width, builder.groups, builder.init.device)?.with_eps(SPATIAL_EPS);
        let count = builder.config.transformer_layers(level);
        let block = |index| TransformerBlock::new(&format!("{name}.transformer_blocks.{index}"), width, level, builder);
        let blocks = (0..count).map(block).collect::<Result<_>>()?;
        Ok(Spatial { norm, input, blocks, output })
    }

    /// `[row, channel, height, width]` -> the same shape, f32.
    pub fn forward(&self, x: &Tensor, prompt: &Memory) -> Result<Tensor> {
        let mut h = cast(&self.input.tokens(&self.norm.forward(x)?)?, Kind::Float)?;
        for block in &self.blocks {
            h = block.forward(h, prompt)?;
        }
        let change = cast(&self.output.places(&h)?, Kind::Float)?;
        let size = x.size();
        add(change.try_view(size)?, x)
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        self.norm.list(named);
        self.input.list(named);
        self.blocks.iter().for_each(|block| block.list(named));
        self.output.list(named);
    }

    pub fn freeze(&mut self) -> Result<()> {
        self.norm.freeze()?;
        self.input.freeze()?;
        self.blocks.iter_mut().try_for_each(TransformerBlock::freeze)?;
        self.output.freeze()
    }
}

/// Self-attention, then cross-attention to the prompt, then a feed-forward layer, each with a residual connection.
#[derive(Debug)]
pub(super) struct TransformerBlock {
    norm1: Norm,
    own: Attention,
    /// If the network takes a prompt.
    prompt: Option<(Norm, Attention)>,
    norm3: Norm,
    feed_forward: FeedForward,
    /// Its index among the blocks that attend to the prompt.
    index: usize,
}

impl TransformerBlock {
    fn new(name: &str, width: i64, level: usize, builder: &mut Builder) -> Result<Self> {
        let heads = builder.config.heads(level);
        let init = builder.init;
        let norm = |layer: &str| Norm::new(&format!("{name}.{layer}"), width, 1, init.device);
        let attention = |layer: &str, from| Attention::new(&format!("{name}.{layer}"), width, from, heads, 1.0, init);
        let prompt = match builder.init.prompt {
            Some(from) => Some((norm("norm2")?, attention("attn2", from)?)),
            None => None,
        };
        let block = TransformerBlock {
            norm1: norm("norm1")?,
            own: attention("attn1", width)?,
            prompt,
            norm3: norm("norm3")?,
            feed_forward: FeedForward::new(&format!("{name}.ff"), width, init)?,
            index: builder.blocks,
        };
        builder.blocks += 1;
        Ok(block)
    }

    /// `[row, token, width]` -> the same, f32.
    fn forward(&self, h: Tensor, prompt: &Memory) -> Result<Tensor> {
        let normal = self.norm1.forward(&h)?;
        let h = add(h, &self.own.forward(&normal, &self.own.keys(&normal)?, None)?)?;
        let h = match (&self.prompt, prompt.keys(self.index)) {
            (None, _) => h,
            (Some((_, attention)), None) => add(h, &attention.nothing()?)?,
            (Some((norm, attention)), Some(keys)) => {
                let read = attention.forward(&norm.forward(&h)?, keys, prompt.mask.as_ref())?;
                add(h, &read)?
            }
        };
        let change = self.feed_forward.forward(&self.norm3.forward(&h)?)?;
        add(h, &change)
    }

    /// The keys and values of a prompt, `[row, token, feature]`.
    pub fn prompt_keys(&self, tokens: &Tensor) -> Option<Result<Keys>> {
        self.prompt.as_ref().map(|(_, attention)| attention.keys(tokens))
    }

    fn list(&self, named: &mut Vec<(String, Tensor)>) {
        self.norm1.list(named);
        self.own.list(named);
        if let Some((norm, attention)) = &self.prompt {
            norm.list(named);
            attention.list(named);
        }
        self.norm3.list(named);
        self.feed_forward.list(named);
    }

    fn freeze(&mut self) -> Result<()> {
        self.norm1.freeze()?;
        self.own.freeze()?;
        if let Some((norm, attention)) = &mut self.prompt {
            norm.freeze()?;
            attention.freeze()?;
        }
        self.norm3.freeze()?;
        self.feed_forward.freeze()
    }
}

/// W x + b at every position, from a map to tokens or back, without a copy in between.
#[derive(Debug)]
struct PositionLinear {
    name: String,
    /// `[to, from]`, or `[to, from, 1, 1]` as a 1 x 1 convolution.
    weight: Tensor,
    bias: Tensor,
    precision: Precision,
    /// Once frozen: weight and bias in compute precision.
    fixed: Option<(Tensor, Tensor)>,
}

impl PositionLinear {
    fn new(name: &str, width: i64, linear: bool, init: BuildOptions) -> Result<Self> {
        let size = if linear { vec![width, width] } else { vec![width, width, 1, 1] };
        let weight = fresh(name, &size, 1.0, init)?;
        let bias = zeros(width, init)?;
        Ok(PositionLinear { name: name.to_string(), weight, bias, precision: init.precision, fixed: None })
    }

    /// Weight `[to, from]` and bias `[to]`, in the layer's precision.
    fn parts(&self) -> Result<(Tensor, Tensor)> {
        if let Some((weight, bias)) = &self.fixed {
            return Ok((weight.shallow_clone(), bias.shallow_clone()));
        }
        let kind = self.precision.kind();
        let weight = self.weight.try_flatten(1, -1)?;
        Ok((cast(&weight, kind)?, cast(&self.bias, kind)?))
    }

    /// `[row, from, height, width]` -> `[row, position, to]`.
    fn tokens(&self, map: &Tensor) -> Result<Tensor> {
        let (weight, bias) = self.parts()?;
        let flat = cast(map, self.precision.kind())?.try_flatten(2, 3)?;
        let tokens = flat.try_transpose(1, 2)?;
        let weight = weight.try_t()?.try_expand([flat.size()[0], -1, -1])?;
        bias.try_baddbmm(&tokens, &weight)
    }

    /// `[row, position, from]` -> `[row, to, position]`.
    fn places(&self, tokens: &Tensor) -> Result<Tensor> {
        let (weight, bias) = self.parts()?;
        let tokens = cast(tokens, self.precision.kind())?;
        let flat = tokens.try_transpose(1, 2)?;
        let weight = weight.try_expand([flat.size()[0], -1, -1])?;
        bias.try_unsqueeze(-1)?.try_baddbmm(&weight, &flat)
    }

    fn list(&self, named: &mut Vec<(String, Tensor)>) {
        named.push((format!("{}.weight", self.name), self.weight.shallow_clone()));
        named.push((format!("{}.bias", self.name), self.bias.shallow_clone()));
    }

    fn freeze(&mut self) -> Result<()> {
        let (weight, bias) = self.parts()?;
        self.fixed = Some((plain(&weight)?, plain(&bias)?));
        Ok(())
    }
}
