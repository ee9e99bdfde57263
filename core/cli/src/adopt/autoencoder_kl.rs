//! `AutoencoderKL` of diffusers.

use serde_json::{Value, json};

use super::config::Config;
use super::error::Result;
use super::folder::ModelFolder;
use super::model::{AdoptedModel, Keys, mapping, unless};

const COUNT: &str = "a whole number";
const FLAG: &str = "true or false";

/// An autoencoder.
pub(super) struct AdoptedAutoencoder {
    pub module: Value,
    pub latent_channels: i64,
    /// Pixels of a side for one element of the latent.
    pub factor: i64,
    /// It overflows in f16.
    pub needs_f32: bool,
}

/// Reads the configuration of an autoencoder.
pub(super) fn read(config: &Config) -> Result<AdoptedAutoencoder> {
    for (key, usual) in [
        ("act_fn", json!("silu")),
        ("in_channels", json!(3)),
        ("out_channels", json!(3)),
        ("latents_mean", Value::Null),
        ("latents_std", Value::Null),
    ] {
        config.usual(key, &usual)?;
    }
    let channels: Vec<i64> = config.get("block_out_channels", vec![64], "a list of whole numbers")?;
    for (key, usual) in [("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")] {
        let blocks: Vec<String> = config.get(key, vec![usual.to_string(); channels.len()], "a list of classes")?;
        if blocks.len() != channels.len() || blocks.iter().any(|block| block != usual) {
            return Err(config.unusual(key, format!("{usual} for each of the {} levels", channels.len())));
        }
    }
    let factor = 1 << channels.len().saturating_sub(1).min(16);
    let latent_channels: i64 = config.get("latent_channels", 4, COUNT)?;
    let groups: i64 = config.get("norm_num_groups", 32, COUNT)?;
    let shift: f64 = config.get("shift_factor", 0.0, "a number")?;
    let flag = |key: &str| -> Result<Value> { Ok(unless(config.get(key, true, FLAG)?, true)) };
    let module = mapping([
        ("use", json!("vae/kl")),
        ("block_out_channels", json!(channels)),
        ("layers_per_block", json!(config.get("layers_per_block", 1, COUNT)?)),
        ("latent_channels", json!(latent_channels)),
        ("scaling_factor", json!(config.get("scaling_factor", 0.18215, "a number")?)),
        ("shift_factor", unless(shift, 0.0)),
        ("norm_num_groups", unless(groups, 32)),
        ("use_quant_conv", flag("use_quant_conv")?),
        ("use_post_quant_conv", flag("use_post_quant_conv")?),
        ("mid_block_add_attention", flag("mid_block_add_attention")?),
    ]);
    // The file says true of every autoencoder whose authors did not look; the one of SDXL does overflow.
    let needs_f32 = config.given("force_upcast") == Some(&json!(true));
    Ok(AdoptedAutoencoder { module, latent_channels, factor, needs_f32 })
}

impl AdoptedAutoencoder {
    /// The stream of images whose latent has this height and width.
    pub fn stream(&self, side: i64) -> Keys {
        vec![
            ("codec", rgb(side * self.factor)),
            ("module", self.module.clone()),
            ("latent", json!([self.latent_channels, side, side])),
        ]
    }
}

/// Square RGB images.
pub(super) fn rgb(side: i64) -> Value {
    json!({"use": "image/rgb", "height": side, "width": side, "fit": "crop"})
}

/// An autoencoder alone.
pub(super) fn adopt(folder: &ModelFolder, config: &Config) -> Result<AdoptedModel> {
    let autoencoder = read(config)?;
    let pixels: i64 = config.get("sample_size", 512, "one whole number, the same for height and width")?;
    Ok(AdoptedModel {
        comments: vec![
            format!("Adopted from AutoencoderKL, {}.", config.writer()),
            format!(
                "Other sizes: multiples of {0}, with a latent of a {0}th of their height and width.",
                autoencoder.factor
            ),
        ],
        name: folder.name(),
        checkpoint: vec![("streams.image".into(), json!({"from": folder.weights()?.from, "map": "autoencoder-kl"}))],
        streams: vec![("image".into(), autoencoder.stream(pixels / autoencoder.factor))],
        ..AdoptedModel::default()
    })
}
