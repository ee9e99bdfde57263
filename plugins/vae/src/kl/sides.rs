//! The two sides of the autoencoder: image -> moments of the latent, latent -> image.

use anyflow_sdk::Error;
use anyflow_sdk::tch::{Tensor, nn};

use super::Config;
use super::blocks::{Middle, Residual, norm};
use crate::conv::{Conv, ConvShape, GroupNorm, doubled};

/// The residual blocks of one resolution, and the convolution that leads to the next one.
struct Level {
    residuals: Vec<Residual>,
    resize: Option<Conv>,
}

impl Level {
    fn residuals(path: &nn::Path<'_>, shape: LevelShape) -> Result<Vec<Residual>, Error> {
        let LevelShape { inputs, outputs, blocks, groups } = shape;
        let residual = |index: i64| {
            let inputs = if index == 0 { inputs } else { outputs };
            Residual::new(&(path / "resnets" / index), inputs, outputs, groups)
        };
        (0..blocks).map(residual).collect()
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        self.residuals.iter().try_fold(x.shallow_clone(), |x, residual| residual.forward(&x))
    }
}

#[derive(Clone, Copy)]
struct LevelShape {
    inputs: i64,
    outputs: i64,
    blocks: i64,
    groups: i64,
}

/// Norm, SiLU and convolution at the end of a side.
struct Last {
    norm: GroupNorm,
    conv: Conv,
}

impl Last {
    fn new(path: &nn::Path<'_>, channels: i64, outputs: i64, groups: i64) -> Result<Last, Error> {
        let conv = Conv::new(&(path / "conv_out"), ConvShape::plain(channels, outputs))?;
        Ok(Last { norm: norm(&(path / "conv_norm_out"), channels, groups)?, conv })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        self.conv.forward(&self.norm.forward(x)?.f_silu()?)
    }
}

/// Image -> mean and log variance of the latent, one after the other along the channels.
pub(super) struct Down {
    first: Conv,
    levels: Vec<Level>,
    middle: Middle,
    last: Last,
    quant: Option<Conv>,
}

impl Down {
    pub fn new(path: &nn::Path<'_>, config: &Config) -> Result<Down, Error> {
        let (groups, moments) = (config.norm_num_groups, 2 * config.latent_channels);
        let side = path / "encoder";
        let channels = &config.block_out_channels;
        let (widest, deepest) = (channels[0], channels[channels.len() - 1]);
        let mut levels = Vec::new();
        let mut inputs = widest;
        for (index, &outputs) in channels.iter().enumerate() {
            let path = &side / "down_blocks" / index as i64;
            let shape = LevelShape { inputs, outputs, blocks: config.layers_per_block, groups };
            let down = ConvShape { stride: 2, ..ConvShape::plain(outputs, outputs) };
            let resize = (index + 1 < channels.len())
                .then(|| Conv::new(&(&path / "downsamplers" / 0 / "conv"), down))
                .transpose()?;
            levels.push(Level { residuals: Level::residuals(&path, shape)?, resize });
            inputs = outputs;
        }
        let quant = config
            .use_quant_conv
            .then(|| Conv::new(&(path / "quant_conv"), ConvShape::pointwise(moments, moments)))
            .transpose()?;
        Ok(Down {
            first: Conv::new(&(&side / "conv_in"), ConvShape::plain(config.in_channels, widest))?,
            levels,
            middle: Middle::new(&(&side / "mid_block"), deepest, groups, config.mid_block_add_attention)?,
            last: Last::new(&side, deepest, moments, groups)?,
            quant,
        })
    }

    /// Maps `[row, channel, height, width]` in [-1, 1] to `[row, 2 x latent channel, row, column]`.
    pub fn forward(&self, image: &Tensor) -> Result<Tensor, Error> {
        let mut x = self.first.forward(image)?;
        for level in &self.levels {
            x = level.forward(&x)?;
            if let Some(down) = &level.resize {
                x = down.forward_right_below(&x)?;
            }
        }
        let x = self.last.forward(&self.middle.forward(&x)?)?;
        self.quant.as_ref().map_or(Ok(x.shallow_clone()), |quant| quant.forward(&x))
    }
}

/// Latent -> image.
pub(super) struct Up {
    quant: Option<Conv>,
    first: Conv,
    middle: Middle,
    levels: Vec<Level>,
    last: Last,
}

impl Up {
    pub fn new(path: &nn::Path<'_>, config: &Config) -> Result<Up, Error> {
        let (groups, latent) = (config.norm_num_groups, config.latent_channels);
        let side = path / "decoder";
        let channels = &config.block_out_channels;
        let (widest, deepest) = (channels[0], channels[channels.len() - 1]);
        let mut levels = Vec::new();
        let mut inputs = deepest;
        for (index, &outputs) in channels.iter().rev().enumerate() {
            let path = &side / "up_blocks" / index as i64;
            let shape = LevelShape { inputs, outputs, blocks: config.layers_per_block + 1, groups };
            let resize = (index + 1 < channels.len())
                .then(|| Conv::new(&(&path / "upsamplers" / 0 / "conv"), ConvShape::plain(outputs, outputs)))
                .transpose()?;
            levels.push(Level { residuals: Level::residuals(&path, shape)?, resize });
            inputs = outputs;
        }
        let quant = config
            .use_post_quant_conv
            .then(|| Conv::new(&(path / "post_quant_conv"), ConvShape::pointwise(latent, latent)))
            .transpose()?;
        Ok(Up {
            quant,
            first: Conv::new(&(&side / "conv_in"), ConvShape::plain(latent, deepest))?,
            middle: Middle::new(&(&side / "mid_block"), deepest, groups, config.mid_block_add_attention)?,
            levels,
            last: Last::new(&side, widest, config.in_channels, groups)?,
        })
    }

    /// Maps `[row, latent channel, row, column]` to `[row, channel, height, width]`, about [-1, 1].
    pub fn forward(&self, latent: &Tensor) -> Result<Tensor, Error> {
        let quantized = self.quant.as_ref().map(|quant| quant.forward(latent)).transpose()?;
        let mut x = self.middle.forward(&self.first.forward(quantized.as_ref().unwrap_or(latent))?)?;
        for level in &self.levels {
            x = level.forward(&x)?;
            if let Some(up) = &level.resize {
                x = up.forward(&doubled(&x)?)?;
            }
        }
        self.last.forward(&x)
    }
}
