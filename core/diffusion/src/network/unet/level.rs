//! The levels of a U-Net: layers at one size of the map.

use tch::Tensor;

use super::super::attention::Keys;
use super::super::conv::{Conv, concat, enlarged};
use super::super::cross_attention::{CrossAttention, Memory};
use super::super::layer::add;
use super::Signal;
use super::builder::Builder;
use super::resnet::Resnet;
use super::spatial::{Spatial, TransformerBlock};
use super::temporal::Temporal;
use crate::{Result, TensorExt};

/// The inputs that all layers share in a forward pass.
pub(super) struct Pass<'a> {
    pub signal: Signal,
    pub prompt: &'a Memory,
    pub context: &'a Memory,
    /// The number of consecutive rows of the map that are frames of one row.
    pub frames: i64,
}

/// A residual block, then attention and context attention if the level attends, then temporal layers.
#[derive(Debug)]
pub(super) struct Layer {
    resnet: Resnet,
    attention: Option<Spatial>,
    context: Option<CrossAttention>,
    temporal: Option<Temporal>,
}

impl Layer {
    fn new(name: &str, index: usize, from: i64, to: i64, level: usize, builder: &mut Builder) -> Result<Self> {
        let resnet = Resnet::new(&format!("{name}.resnets.{index}"), from, to, builder)?;
        let mut attention = None;
        let mut context = None;
        if builder.config.attends(level) {
            attention = Some(Spatial::new(&format!("{name}.attentions.{index}"), to, level, builder)?);
            if let Some(from) = builder.init.context {
                let name = format!("{name}.contexts.{index}");
                let heads = builder.config.heads(level);
                context = Some(CrossAttention::new(&name, to, from, heads, builder.readers, builder.init)?);
                builder.readers += 1;
            }
        }
        let temporal = Temporal::maybe(&format!("{name}.temporals.{index}"), to, level, builder)?;
        Ok(Layer { resnet, attention, context, temporal })
    }

    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let mut h = self.resnet.forward(x, &pass.signal)?;
        if let Some(attention) = &self.attention {
            h = attention.forward(&h, pass.prompt)?;
        }
        if let Some(context) = &self.context {
            h = read(context, h, pass.context)?;
        }
        match &self.temporal {
            Some(temporal) => temporal.forward(h, pass.frames),
            None => Ok(h),
        }
    }
}

/// Each position of a map, `[row, channel, height, width]`, attends to the tokens.
fn read(layer: &CrossAttention, h: Tensor, memory: &Memory) -> Result<Tensor> {
    let flat = h.try_flatten(2, 3)?;
    let Some(change) = layer.read(&flat.try_transpose(1, 2)?, memory)? else { return Ok(h) };
    let change = change.try_transpose(1, 2)?.try_reshape(h.size())?;
    add(h, &change)
}

/// A level on the way down or up.
#[derive(Debug)]
pub(super) struct Level {
    layers: Vec<Layer>,
    /// The convolution to the next level; the last level has none.
    resize: Option<Conv>,
}

impl Level {
    /// A level on the way down, from `from` channels to those of the level.
    pub fn down(level: usize, from: i64, builder: &mut Builder) -> Result<Self> {
        let name = format!("down_blocks.{level}");
        let to = builder.config.block_out_channels[level];
        let inputs = |index| if index == 0 { from } else { to };
        let layers = (0..builder.config.layers_per_block)
            .map(|index| Layer::new(&name, index, inputs(index), to, level, builder))
            .collect::<Result<_>>()?;
        let resize = if level + 1 < builder.config.levels() {
            Some(Conv::new(&format!("{name}.downsamplers.0.conv"), to, to, 3, 1.0, builder.init)?.halving())
        } else {
            None
        };
        Ok(Level { layers, resize })
    }

    /// A level on the way up; each layer also takes a skip connection, whose width is popped from `skips`.
    pub fn up(level: usize, from: i64, skips: &mut Vec<i64>, builder: &mut Builder) -> Result<Self> {
        let number = builder.config.levels() - 1 - level;
        let name = format!("up_blocks.{number}");
        let to = builder.config.block_out_channels[level];
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

    /// Pushes the skip connections. Returns the output of the last layer, and the input of the next level.
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

    /// Like [`Level::descend`], on the way up. A map is upsampled to the size of the next skip connection.
    pub fn ascend(&self, x: Tensor, skips: &mut Vec<Tensor>, pass: &Pass) -> Result<(Tensor, Tensor)> {
        let mut h = x;
        for layer in &self.layers {
            let Some(skip) = skips.pop() else { break };
            h = layer.forward(&concat(&h, &skip)?, pass)?;
        }
        let (Some(enlarge), Some(next)) = (&self.resize, skips.last()) else { return Ok((h.shallow_clone(), h)) };
        let size = next.size();
        let larger = enlarge.forward(&enlarged(&h, [size[2], size[3]])?)?;
        Ok((h, larger))
    }

    pub fn resnets(&self) -> impl Iterator<Item = &Resnet> {
        self.layers.iter().map(|layer| &layer.resnet)
    }

    /// The context keys of its layers.
    pub fn context_keys(&self, tokens: &Tensor) -> impl Iterator<Item = Result<Keys>> {
        self.layers.iter().filter_map(|layer| layer.context.as_ref()).map(|context| context.keys(tokens))
    }

    pub fn attention(&self) -> impl Iterator<Item = &TransformerBlock> {
        self.layers.iter().filter_map(|layer| layer.attention.as_ref()).flat_map(|spatial| &spatial.blocks)
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        for layer in &self.layers {
            layer.resnet.list(named);
            layer.attention.iter().for_each(|spatial| spatial.list(named));
            layer.context.iter().for_each(|context| context.list(named));
            layer.temporal.iter().for_each(|temporal| temporal.list(named));
        }
        self.resize.iter().for_each(|conv| conv.list(named));
    }

    pub fn freeze(&mut self) -> Result<()> {
        for layer in &mut self.layers {
            layer.resnet.freeze()?;
            layer.attention.iter_mut().try_for_each(Spatial::freeze)?;
            layer.context.iter_mut().try_for_each(CrossAttention::freeze)?;
            layer.temporal.iter_mut().try_for_each(Temporal::freeze)?;
        }
        self.resize.iter_mut().try_for_each(Conv::freeze)
    }
}

/// A residual block, attention, temporal layers, a residual block.
#[derive(Debug)]
pub(super) struct Middle {
    resnets: [Resnet; 2],
    attention: Spatial,
    temporal: Option<Temporal>,
}

impl Middle {
    pub fn new(width: i64, builder: &mut Builder) -> Result<Self> {
        let level = builder.config.levels() - 1;
        let first = Resnet::new("mid_block.resnets.0", width, width, builder)?;
        let attention = Spatial::new("mid_block.attentions.0", width, level, builder)?;
        let temporal = Temporal::maybe("mid_block.temporals.0", width, level, builder)?;
        let resnets = [first, Resnet::new("mid_block.resnets.1", width, width, builder)?];
        Ok(Middle { resnets, attention, temporal })
    }

    pub fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let h = self.resnets[0].forward(x, &pass.signal)?;
        let mut h = self.attention.forward(&h, pass.prompt)?;
        if let Some(temporal) = &self.temporal {
            h = temporal.forward(h, pass.frames)?;
        }
        self.resnets[1].forward(&h, &pass.signal)
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
        self.temporal.iter().for_each(|temporal| temporal.list(named));
        self.resnets[1].list(named);
    }

    pub fn freeze(&mut self) -> Result<()> {
        self.attention.freeze()?;
        self.temporal.iter_mut().try_for_each(Temporal::freeze)?;
        self.resnets.iter_mut().try_for_each(Resnet::freeze)
    }
}
