//! The residual block of a U-Net.

use tch::{Kind, Tensor};

use super::super::conv::{Conv, over_positions};
use super::super::layer::{Linear, Norm, add, cast, silu};
use super::Signal;
use super::builder::Builder;
use crate::{Result, TensorExt};

/// conv2(silu(norm2(conv1(silu(norm1(x))) + time_emb_proj(e)))) + conv_shortcut(x), e the embedding of the times, the
/// shortcut the identity if the widths are equal.
#[derive(Debug)]
pub(super) struct Resnet {
    norm1: Norm,
    conv1: Conv,
    time: Linear,
    norm2: Norm,
    conv2: Conv,
    shortcut: Option<Conv>,
    /// The offset of its part among the time projections of all blocks.
    offset: i64,
    width: i64,
}

impl Resnet {
    pub fn new(name: &str, from: i64, to: i64, builder: &mut Builder) -> Result<Self> {
        let init = builder.init;
        let conv = |layer: &str, from, side| Conv::new(&format!("{name}.{layer}"), from, to, side, 1.0, init);
        let eps = builder.config.norm_eps;
        let norm = |layer: &str, width| {
            Norm::new(&format!("{name}.{layer}"), width, builder.groups, init.device).map(|norm| norm.with_eps(eps))
        };
        let resnet = Resnet {
            norm1: norm("norm1", from)?,
            conv1: conv("conv1", from, 3)?,
            time: Linear::new(&format!("{name}.time_emb_proj"), builder.embedding, to, 1.0, init)?,
            norm2: norm("norm2", to)?,
            conv2: conv("conv2", to, 3)?,
            shortcut: if from == to { None } else { Some(conv("conv_shortcut", from, 1)?) },
            offset: builder.projected,
            width: to,
        };
        builder.projected += to;
        Ok(resnet)
    }

    /// `[row, from, height, width]` -> `[row, to, height, width]`, f32.
    pub fn forward(&self, x: &Tensor, signal: &Signal) -> Result<Tensor> {
        let normal = silu(self.norm1.forward(x)?)?;
        let inside = match signal {
            Signal::Projected(all) => {
                let part = all.try_narrow(-1, self.offset, self.width)?;
                self.conv1.forward_with(&part, &normal)?
            }
            Signal::Embedded(embedding) => {
                add(self.conv1.forward(&normal)?, &over_positions(&self.time.forward(embedding)?)?)?
            }
        };
        let inside = silu(self.norm2.forward(&inside)?)?;
        let change = cast(&self.conv2.forward(&inside)?, Kind::Float)?;
        match &self.shortcut {
            None => add(change, x),
            Some(shortcut) => add(change, &shortcut.forward(x)?),
        }
    }

    /// The weight and bias that compute its part of [`Signal::Projected`] from the embedding.
    pub fn part(&self) -> Result<(Tensor, Tensor)> {
        let ((weight, bias), first) = (self.time.plain()?, self.conv1.plain_bias()?);
        Ok((weight, bias.try_add(&first)?))
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        self.norm1.list(named);
        self.conv1.list(named);
        self.time.list(named);
        self.norm2.list(named);
        self.conv2.list(named);
        self.shortcut.iter().for_each(|shortcut| shortcut.list(named));
    }

    pub fn freeze(&mut self) -> Result<()> {
        self.norm1.freeze()?;
        self.conv1.freeze()?;
        self.time.freeze()?;
        self.norm2.freeze()?;
        self.conv2.freeze()?;
        self.shortcut.iter_mut().try_for_each(Conv::freeze)
    }
}
