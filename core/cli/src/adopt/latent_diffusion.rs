//! What the pipelines of images have in common: an autoencoder, a U-Net over its latents, and a scheduler.

use serde_json::{Value, json};

use super::autoencoder_kl::{self, AdoptedAutoencoder};
use super::config::Config;
use super::error::Result;
use super::folder::ModelFolder;
use super::model::{AdoptedModel, Keys};
use super::scheduler::{self, AdoptedScheduler};
use super::unet::{self, AdoptedUnet};

/// The parts of a pipeline of images.
pub(super) struct LatentDiffusion {
    pub unet: AdoptedUnet,
    pub autoencoder: AdoptedAutoencoder,
    pub scheduler: AdoptedScheduler,
}

/// A line of the checkpoint.
pub(super) fn part(folder: &ModelFolder, name: &str, part: &str, map: &str) -> Result<(String, Value)> {
    Ok((name.to_string(), json!({"from": folder.part(part).weights()?.from, "map": map})))
}

impl LatentDiffusion {
    pub fn read(folder: &ModelFolder) -> Result<LatentDiffusion> {
        let config = folder.part("unet").config()?;
        let unet = unet::adopt(&config)?;
        let autoencoder = autoencoder_kl::read(&folder.part("vae").config()?)?;
        let channels = autoencoder.latent_channels;
        if ![channels, 2 * channels + 1].contains(&unet.in_channels) {
            let usual = format!("{channels} (the latent), or {} (latent, mask and masked latent)", 2 * channels + 1);
            return Err(config.unusual("in_channels", usual));
        }
        Ok(LatentDiffusion { unet, autoencoder, scheduler: scheduler::adopt(&folder.path)? })
    }

    /// The model without its text encoders: stream, planes and denoiser. `vectors` are those of the denoiser.
    pub fn model(&self, folder: &ModelFolder, config: &Config, vectors: Option<Value>) -> Result<AdoptedModel> {
        let checkpoint = vec![
            part(folder, "streams.image", "vae", "autoencoder-kl")?,
            part(folder, "denoisers.image", "unet", "unet-2d")?,
        ];
        Ok(AdoptedModel {
            name: folder.name(),
            comments: vec![format!(
                "Adopted from {}, {}. {}",
                config.class()?,
                config.writer(),
                self.scheduler.comment
            )],
            checkpoint,
            streams: self.streams(),
            denoisers: vec![("image".into(), self.denoiser(folder, vectors)?)],
            ..AdoptedModel::default()
        })
    }

    /// True for in-painting: the network also gets a mask and a masked latent.
    fn has_planes(&self) -> bool {
        self.unet.in_channels != self.autoencoder.latent_channels
    }

    /// The images, and the mask: what of an image is painted, or, for a network without planes, what is kept.
    fn streams(&self) -> Vec<(String, Keys)> {
        let side = self.unet.side;
        let pixels = side * self.autoencoder.factor;
        let gray = json!({"use": "image/gray", "height": pixels, "width": pixels, "fit": "crop"});
        let (name, module) = match self.has_planes() {
            true => ("hole", json!("vae/mask")),
            false => ("kept", json!({"use": "vae/mask", "invert": true})),
        };
        let mask = vec![("codec", gray), ("module", module), ("latent", json!([1, side, side]))];
        vec![("image".into(), self.autoencoder.stream(side)), (name.into(), mask)]
    }

    fn denoiser(&self, folder: &ModelFolder, vectors: Option<Value>) -> Result<Keys> {
        let mut keys: Keys = vec![("over", json!(["image"])), ("prompts", json!(["words"]))];
        keys.extend(vectors.map(|vectors| ("vectors", vectors)));
        if self.has_planes() {
            // The visible part of the images is concatenated to their channels.
            keys.push(("planes", json!(["hole", "image"])));
        }
        keys.extend([
            ("predict", json!(self.scheduler.predict)),
            ("precision", json!(folder.part("unet").weights()?.precision)),
            ("schedule", self.scheduler.schedule.clone()),
            ("sampler", self.scheduler.sampler.clone()),
            ("network", self.unet.network.clone()),
        ]);
        Ok(keys)
    }
}
