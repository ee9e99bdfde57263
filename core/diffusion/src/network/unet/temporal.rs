//! Temporal layers: join the frames of a map. Fresh ones change nothing.

use anyflow_config::Precision;
use tch::{Kind, Tensor};

use super::super::attention::Attention;
use super::super::layer::{BuildOptions, Norm, NumberFormat, add, cast, fresh, plain, silu, zeros};
use super::builder::Builder;
use crate::{Result, TensorExt};

/// h <- h + conv(silu(norm(h))) over three frames, then h <- h + attention(norm(h)), each position over all its frames.
/// The last layer of each starts at zero: Blattmann et al. 2023 (arXiv 2304.08818) insert such layers into a network
/// trained without frames. The convolution makes the order of the frames visible.
#[derive(Debug)]
pub(super) struct Temporal {
    conv_norm: Norm,
    conv: FrameConv,
    norm: Norm,
    attention: Attention,
}

impl Temporal {
    /// `None` if the network does not join frames.
    pub fn maybe(name: &str, width: i64, level: usize, builder: &Builder) -> Result<Option<Self>> {
        if !builder.config.temporal {
            return Ok(None);
        }
        let heads = builder.config.heads(level);
        let init = builder.init;
        Ok(Some(Temporal {
            conv_norm: Norm::new(&format!("{name}.conv.norm"), width, builder.groups, init.device)?,
            conv: FrameConv::new(&format!("{name}.conv"), width, init)?,
            norm: Norm::new(&format!("{name}.attn.norm"), width, 1, init.device)?,
            attention: Attention::new(&format!("{name}.attn"), width, width, heads, 0.0, init)?,
        }))
    }

    /// `[row * frame, channel, height, width]` -> the same, f32.
    pub fn forward(&self, h: Tensor, frames: i64) -> Result<Tensor> {
        let size = h.size();
        let [channels, height, width] = [size[1], size[2], size[3]];
        let change = self.conv.forward(&silu(self.conv_norm.forward(&h)?)?, frames)?;
        let h = add(h, &change)?;
        let tokens = h.try_view([-1, frames, channels, height * width])?.try_permute([0, 3, 1, 2])?;
        let tokens = self.norm.forward(&tokens.try_reshape([-1, frames, channels])?)?;
        let change = self.attention.forward(&tokens, &self.attention.keys(&tokens)?, None)?;
        let change =
            change.try_view([-1, height * width, frames, channels])?.try_permute([0, 2, 3, 1])?.try_reshape(size)?;
        add(h, &change)
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        self.conv_norm.list(named);
        self.conv.list(named);
        self.norm.list(named);
        self.attention.list(named);
    }

    pub fn freeze(&mut self) -> Result<()> {
        self.conv_norm.freeze()?;
        self.conv.freeze()?;
        self.norm.freeze()?;
        self.attention.freeze()
    }
}

/// A convolution over three frames, zero at the start.
#[derive(Debug)]
struct FrameConv {
    name: String,
    /// `[to, from, 3, 1, 1]`.
    weight: Tensor,
    bias: Tensor,
    precision: Precision,
    /// Once frozen: weight and bias in compute precision.
    fixed: Option<(Tensor, Tensor)>,
}

impl FrameConv {
    fn new(name: &str, width: i64, init: BuildOptions) -> Result<Self> {
        let weight = fresh(name, &[width, width, 3, 1, 1], 0.0, init)?;
        let bias = zeros(width, init)?;
        Ok(FrameConv { name: name.to_string(), weight, bias, precision: init.precision, fixed: None })
    }

    /// `[row * frame, channel, height, width]` -> the same, f32.
    fn forward(&self, x: &Tensor, frames: i64) -> Result<Tensor> {
        let size = x.size();
        let kind = self.precision.kind();
        let (weight, bias) = match &self.fixed {
            Some((weight, bias)) => (weight.shallow_clone(), bias.shallow_clone()),
            None => (cast(&self.weight, kind)?, cast(&self.bias, kind)?),
        };
        let swapped = |x: &Tensor| x.try_transpose(1, 2);
        let y =
            swapped(&cast(x, kind)?.try_unflatten(0, [-1, frames])?)?.try_conv3d(&weight, Some(&bias), [1, 0, 0])?;
        cast(&swapped(&y)?.try_reshape(size)?, Kind::Float)
    }

    fn list(&self, named: &mut Vec<(String, Tensor)>) {
        named.push((format!("{}.weight", self.name), self.weight.shallow_clone()));
        named.push((format!("{}.bias", self.name), self.bias.shallow_clone()));
    }

    fn freeze(&mut self) -> Result<()> {
        let fix = |parameter: &Tensor| cast(&plain(parameter)?, self.precision.kind());
        self.fixed = Some((fix(&self.weight)?, fix(&self.bias)?));
        Ok(())
    }
}
