//! The module `tiny`.

mod blocks;

use anyflow_sdk::layers::elements;
use anyflow_sdk::tch::{Tensor, nn};
use anyflow_sdk::{Decoder, Encoder, Error, Module, ModuleDescriptor, Parameters, Role, RoleDescriptor, descriptor::*};

use self::blocks::Block;
use crate::conv::{Conv, ConvShape, doubled};
use crate::latent::{self, LATENT, Sizes};

/// Image between 0 and 1 <-> latent of an eighth of its height and width: the tiny autoencoders TAESD, TAEF1, TAEF2
/// (github.com/madebyollin/taesd), which stand in for the large autoencoders of published diffusion models.
///
/// Weights: `encoder.N...` and `decoder.N...`, each with the names of its published file.
pub struct Tiny {
    encoder: Vec<Layer>,
    decoder: Vec<Layer>,
}

/// One step of a side. Numbers of layers without weights are left out of the names.
enum Layer {
    Conv(Conv),
    Block(Block),
    Relu,
    /// 3 tanh(x / 3): bounds a latent smoothly before it is decoded.
    Clamp,
    /// Doubles height and width, nearest neighbour.
    Double,
}

/// Convolutions of stride two in the encoder.
const HALVINGS: u32 = 3;
/// Blocks between them.
const BLOCKS: usize = 3;

#[derive(serde::Deserialize)]
struct Config {
    channel: i64,
    height: i64,
    width: i64,
    latent_channels: i64,
    rows: i64,
    columns: i64,
    hidden: i64,
    mid_block_norm: bool,
}

/// `[channel, height, width]`.
const IMAGE: Port = f32_port_in(&[axis("channel"), axis("height"), axis("width")], 0, 1);

impl Module for Tiny {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "tiny",
        modality: "image",
        summary: "image <-> latent of an eighth of its height and width: TAESD and its successors",
        roles: &[
            RoleDescriptor { role: Role::Encode, input: IMAGE, output: LATENT },
            RoleDescriptor { role: Role::Decode, input: LATENT, output: IMAGE },
        ],
        parameters: r#"{
            "channel": {"type": "integer", "minimum": 1},
            "height": {"type": "integer", "minimum": 8},
            "width": {"type": "integer", "minimum": 8},
            "latent_channels": {"type": "integer", "minimum": 1},
            "rows": {"type": "integer", "minimum": 1, "examples": [1], "description": "an eighth of height"},
            "columns": {"type": "integer", "minimum": 1, "examples": [1], "description": "an eighth of width"},
            "hidden": {"type": "integer", "minimum": 1, "default": 64, "description": "channels of all layers"},
            "mid_block_norm": {"type": "boolean", "default": false,
                "description": "group norm in the blocks next to the latent, as in TAEF2"}
        }"#,
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let config: Config = parameters.read()?;
        let Config { channel, height, width, latent_channels, rows, columns, hidden, .. } = config;
        elements(&[channel, height, width])?;
        elements(&[latent_channels, rows, columns])?;
        elements(&[channel.max(latent_channels), hidden, 9])?;
        elements(&[hidden, hidden, 9])?;
        latent::check(Sizes { height, width, rows, columns }, 1 << HALVINGS)?;
        Ok(Tiny { encoder: encoder(&(path / "encoder"), &config)?, decoder: decoder(&(path / "decoder"), &config)? })
    }
}

/// Builds a side layer by layer, numbered as published.
struct Side<'p> {
    path: nn::Path<'p>,
    layers: Vec<Layer>,
}

impl Side<'_> {
    fn path(&self) -> nn::Path<'_> {
        &self.path / self.layers.len() as i64
    }

    fn conv(&mut self, shape: ConvShape) -> Result<(), Error> {
        let layer = Conv::new(&self.path(), shape)?;
        self.layers.push(Layer::Conv(layer));
        Ok(())
    }

    fn blocks(&mut self, count: usize, channels: i64, has_norm: bool) -> Result<(), Error> {
        for _ in 0..count {
            let layer = Block::new(&self.path(), channels, has_norm)?;
            self.layers.push(Layer::Block(layer));
        }
        Ok(())
    }
}

fn encoder(path: &nn::Path<'_>, config: &Config) -> Result<Vec<Layer>, Error> {
    let Config { channel, latent_channels, hidden, mid_block_norm, .. } = *config;
    let mut side = Side { path: path.clone(), layers: Vec::new() };
    side.conv(ConvShape::plain(channel, hidden))?;
    side.blocks(1, hidden, false)?;
    for halving in 1..=HALVINGS {
        side.conv(ConvShape { stride: 2, has_bias: false, ..ConvShape::plain(hidden, hidden) })?;
        side.blocks(BLOCKS, hidden, mid_block_norm && halving == HALVINGS)?;
    }
    side.conv(ConvShape::plain(hidden, latent_channels))?;
    Ok(side.layers)
}

fn decoder(path: &nn::Path<'_>, config: &Config) -> Result<Vec<Layer>, Error> {
    let Config { channel, latent_channels, hidden, mid_block_norm, .. } = *config;
    let mut side = Side { path: path.clone(), layers: vec![Layer::Clamp] };
    side.conv(ConvShape::plain(latent_channels, hidden))?;
    side.layers.push(Layer::Relu);
    for doubling in 1..=HALVINGS {
        side.blocks(BLOCKS, hidden, mid_block_norm && doubling == 1)?;
        side.layers.push(Layer::Double);
        side.conv(ConvShape { has_bias: false, ..ConvShape::plain(hidden, hidden) })?;
    }
    side.blocks(1, hidden, false)?;
    side.conv(ConvShape::plain(hidden, channel))?;
    Ok(side.layers)
}

impl Layer {
    fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        match self {
            Layer::Conv(conv) => conv.forward(x),
            Layer::Block(block) => block.forward(x),
            Layer::Relu => Ok(x.f_relu()?),
            Layer::Clamp => Ok(x.f_div_scalar(3.0)?.f_tanh()?.f_mul_scalar(3.0)?),
            Layer::Double => doubled(x),
        }
    }
}

fn through(layers: &[Layer], x: &Tensor) -> Result<Tensor, Error> {
    layers.iter().try_fold(x.shallow_clone(), |x, layer| layer.forward(&x))
}

impl Encoder for Tiny {
    fn encode(&self, array: &Tensor, _train: bool) -> Result<Tensor, Error> {
        through(&self.encoder, array)
    }
}

impl Decoder for Tiny {
    fn decode(&self, latent: &Tensor, train: bool) -> Result<Tensor, Error> {
        let array = through(&self.decoder, latent)?;
        // A training needs the gradients of values beyond the bounds.
        if train { Ok(array) } else { Ok(array.f_clamp(0.0, 1.0)?) }
    }
}

#[cfg(test)]
mod tests;
