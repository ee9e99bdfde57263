//! `AutoencoderTiny` of diffusers.

use serde_json::{Value, json};

use super::autoencoder_kl::rgb;
use super::config::Config;
use super::error::Result;
use super::folder::ModelFolder;
use super::model::{AdoptedModel, Keys, mapping, unless};

const COUNT: &str = "a whole number";
/// Pixels of a side for one element of the latent.
const FACTOR: i64 = 8;
/// Pixels of a side: what the models that it stands in for were trained on.
const PIXELS: i64 = 512;

/// What tells one tiny autoencoder from another.
pub(super) struct TinyShape {
    pub latent_channels: i64,
    pub hidden: i64,
    pub mid_block_norm: bool,
}

impl TinyShape {
    /// Its stream of images.
    pub fn stream(&self) -> Keys {
        let side = PIXELS / FACTOR;
        let module = mapping([
            ("use", json!("vae/tiny")),
            ("hidden", unless(self.hidden, 64)),
            ("mid_block_norm", unless(self.mid_block_norm, false)),
        ]);
        vec![("codec", rgb(PIXELS)), ("module", module), ("latent", json!([self.latent_channels, side, side]))]
    }
}

/// What a reader should know about the size.
pub(super) fn sizes() -> String {
    format!("Other sizes: multiples of {FACTOR}, with a latent of an eighth of their height and width.")
}

/// Reads the configuration.
pub(super) fn adopt(folder: &ModelFolder, config: &Config) -> Result<AdoptedModel> {
    for (key, usual) in [
        ("in_channels", json!(3)),
        ("out_channels", json!(3)),
        ("act_fn", json!("relu")),
        ("upsample_fn", json!("nearest")),
        ("upsampling_scaling_factor", json!(2)),
        ("num_encoder_blocks", json!([1, 3, 3, 3])),
        ("num_decoder_blocks", json!([3, 3, 3, 1])),
        ("latent_magnitude", json!(3)),
        ("scaling_factor", json!(1)),
        ("shift_factor", json!(0)),
    ] {
        config.usual(key, &usual)?;
    }
    let width = |key: &str| -> Result<i64> {
        let widths: Vec<i64> = config.get(key, vec![64; 4], "a list of whole numbers")?;
        match widths.as_slice() {
            [first, rest @ ..] if rest.iter().all(|other| other == first) => Ok(*first),
            _ => Err(config.unusual(key, "one number for all blocks".into())),
        }
    };
    let hidden = width("encoder_block_out_channels")?;
    if width("decoder_block_out_channels")? != hidden {
        return Err(config.unusual("decoder_block_out_channels", format!("{hidden}, as in the encoder,")));
    }
    let shape = TinyShape { latent_channels: config.get("latent_channels", 4, COUNT)?, hidden, mid_block_norm: false };
    let from: Value = json!({"from": folder.weights()?.from, "map": "autoencoder-tiny"});
    Ok(AdoptedModel {
        comments: vec![format!("Adopted from AutoencoderTiny, {}.", config.writer()), sizes()],
        name: folder.name(),
        checkpoint: vec![("streams.image".into(), from)],
        streams: vec![("image".into(), shape.stream())],
        ..AdoptedModel::default()
    })
}
