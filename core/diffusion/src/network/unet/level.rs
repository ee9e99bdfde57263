//! The levels of a U-Net: layers at one size of the map.

use tch::Tensor;

use super::super::attention::Keys;
use super::super::conv::{Conv, beside, enlarged};
use super::super::layer::Init;
use super::resnet::Resnet;
use super::spatial::{Prompt, Spatial, TransformerBlock};
use super::{Signal, UnetConfig};
use crate::Result;

/// What is counted while the layers are made.
pub(super) struct Builder<'a> {
    pub config: &'a UnetConfig,
    pub init: Init,
    pub groups: i64,
    /// The width of the time embedding.
    pub embedding: i64,
    /// The projections of the time that the blocks have so far.
    pub projected: i64,
    /// The transformer blocks so far.
    pub blocks: usize,
}

/// What every layer is told.
pub(super) struct Pass<'a> {
    pub signal: Signal,
    pub prompt: Prompt<'a>,
}

/// A residual block, and attention where the level has it.
#[derive(Debug)]
pub(super) struct Layer {
    resnet: Resnet,
    attention: Option<Spatial>,
}

impl Layer {
    fn new(name: &str, index: usize, from: i64, to: i64, level: usize, builder: &mut Builder) -> Result<Self> {
        let resnet = Resnet::new(&format!("{name}.resnets.{index}"), from, to, builder)?;
        let attention = match builder.config.attends(level) {
            true => Some(Spatial::new(&format!("{name}.attentions.{index}"), to, level, builder)?),
            false => None,
        };
        Ok(Layer { resnet, attention })
    }

    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let h = self.resnet.forward(x, &pass.signal)?;
        self.attention.as_ref().map_or_else(|| Ok(h.shallow_clone()), |spatial| spatial.forward(&h, &pass.prompt))
    }
}

/// A level on the way down or up.
#[derive(Debug)]
pub(super) struct Level {
    layers: Vec<Layer>,
    /// What leads to the next level; the last has none.
    resize: Option<Conv>,
}

impl Level {
    /// On the way down, from `from` channels to those of the level.
    pub fn down(level: usize, from: i64, builder: &mut Builder) -> Result<Self> {
        let (name, to) = (format!("down_blocks.{level}"), builder.config.block_out_channels[level]);
        let inputs = |index| if index == 0 { from } else { to };
        let layers = (0..builder.config.layers_per_block)
            .map(|index| Layer::new(&name, index, inputs(index), to, level, builder))
            .collect::<Result<_>>()?;
        let resize = match level + 1 < builder.config.levels() {
            true => Some(Conv::new(&format!("{name}.downsamplers.0.conv"), to, to, 3, 1.0, builder.init)?.halving()),
            false => None,
        };
        Ok(Level { layers, resize })
    }

    /// On the way up; each layer also reads what one on the way down gave, whose widths are taken from `skips`.
    pub fn up(level: usize, from: i64, skips: &mut Vec<i64>, builder: &mut Builder) -> Result<Self> {
        let number = builder.config.levels() - 1 - level;
        let (name, to) = (format!("up_blocks.{number}"), builder.config.block_out_channels[level]);
        let mut layers = Vec::new();
        for index in 0..=builder.config.layers_per_block {
            let inputs = if index == 0 { from } else { to } + skips.pop().unwrap_or(0);
            layers.push(Layer::new(&name, index, inputs, to, level, builder)?);
        }
        let resize = match level {
            0 => None,
            _ => Some(Conv::new(&format!("{name}.upsamplers.0.conv"), to, to, 3, 1.0, builder.init)?),
        };
        Ok(Level { layers, resize })
    }

    /// Keeps in `skips` what the way up reads. What the last layer gave, and what leads on.
    pub fn descend(&self, x: Tensor, skips: &mut Vec<Tensor>, pass: &Pass) -> Result<(Tensor, Tensor)> {
        let mut h = x;
        for layer in &self.layers {
            h = layer.forward(&h, pass)?;
            skips.push(h.shallow_clone());
        }
        let Some(halve) = &self.resize else { return Ok((h.shallow_clone(), h)) };
        let smaller = halve.forward(&h)?;
        skips.push(smaller.shallow_clone());
        Ok((h, smaller))
    }

    /// As [`Level::descend`], the other way. A map is enlarged to the size of the one it meets next.
    pub fn ascend(&self, x: Tensor, skips: &mut Vec<Tensor>, pass: &Pass) -> Result<(Tensor, Tensor)> {
        let mut h = x;
        for layer in &self.layers {
            let Some(skip) = skips.pop() else { break };
            h = layer.forward(&beside(&h, &skip)?, pass)?;
        }
        let (Some(enlarge), Some(next)) = (&self.resize, skips.last()) else { return Ok((h.shallow_clone(), h)) };
        let size = next.size();
        let larger = enlarge.forward(&enlarged(&h, [size[2], size[3]])?)?;
        Ok((h, larger))
    }

    pub fn resnets(&self) -> impl Iterator<Item = &Resnet> {
        self.layers.iter().map(|layer| &layer.resnet)
    }

    pub fn attention(&self) -> impl Iterator<Item = &TransformerBlock> {
        self.layers.iter().filter_map(|layer| layer.attention.as_ref()).flat_map(|spatial| &spatial.blocks)
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        for layer in &self.layers {
            layer.resnet.list(named);
            layer.attention.iter().for_each(|spatial| spatial.list(named));
        }
        self.resize.iter().for_each(|conv| conv.list(named));
    }

    pub fn freeze(&mut self) -> Result<()> {
        for layer in &mut self.layers {
            layer.resnet.freeze()?;
            layer.attention.iter_mut().try_for_each(Spatial::freeze)?;
        }
        self.resize.iter_mut().try_for_each(Conv::freeze)
    }
}

/// A residual block, attention, a residual block.
#[derive(Debug)]
pub(super) struct Middle {
    resnets: [Resnet; 2],
    attention: Spatial,
}

impl Middle {
    pub fn new(width: i64, builder: &mut Builder) -> Result<Self> {
        let level = builder.config.levels() - 1;
        let first = Resnet::new("mid_block.resnets.0", width, width, builder)?;
        let attention = Spatial::new("mid_block.attentions.0", width, level, builder)?;
        Ok(Middle { resnets: [first, Resnet::new("mid_block.resnets.1", width, width, builder)?], attention })
    }

    pub fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let h = self.resnets[0].forward(x, &pass.signal)?;
        self.resnets[1].forward(&self.attention.forward(&h, &pass.prompt)?, &pass.signal)
    }

    pub fn resnets(&self) -> impl Iterator<Item = &Resnet> {
        self.resnets.iter()
    }

    pub fn attention(&self) -> impl Iterator<Item = &TransformerBlock> {
        self.attention.blocks.iter()
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        self.resnets[0].list(named);
        self.attention.list(named);
        self.resnets[1].list(named);
    }

    pub fn freeze(&mut self) -> Result<()> {
        self.attention.freeze()?;
        self.resnets.iter_mut().try_for_each(Resnet::freeze)
    }
}

/// What the transformer blocks, in order, read of a prompt.
pub(super) fn keys<'a>(blocks: impl Iterator<Item = &'a TransformerBlock>, tokens: &Tensor) -> Result<Vec<Keys>> {
    blocks.filter_map(|block| block.keys(tokens)).collect()
}
