//! `StableDiffusionPipeline` of diffusers: versions 1 and 2, and in-painting with nine channels.

use serde_json::{Value, json};

use super::autoencoder_kl::{self, AdoptedAutoencoder};
use super::config::Config;
use super::error::{AdoptError, Result};
use super::folder::ModelFolder;
use super::model::{AdoptedModel, Keys};
use super::scheduler;
use super::text_encoder::{self, Layer};
use super::unet::{self, AdoptedUnet};

/// Adopts the pipeline in a folder.
pub(super) fn adopt(folder: &ModelFolder, config: &Config) -> Result<AdoptedModel> {
    let parts = Parts::read(folder)?;
    let text = text_encoder::tower(&folder.part("text_encoder").config()?, Layer::Last, false)?;
    if text.width != parts.unet.cross_attention_dim {
        let usual = format!("{}, the width of text_encoder,", text.width);
        return Err(folder.part("unet").config()?.unusual("cross_attention_dim", usual));
    }
    let scheduler = scheduler::adopt(&folder.path)?;
    let mut words = text_encoder::prompt(&text, &folder.part("tokenizer"))?;
    words.push(("absent", json!({"value": ""})));
    let mut model = parts.model(folder)?;
    model.comments = vec![format!("Adopted from {}, {}. {}", config.class()?, config.writer(), scheduler.comment)];
    model.checkpoint.insert(1, part(folder, "prompts.words", "text_encoder", "clip-text")?);
    model.prompts.insert(0, ("words".into(), words));
    let mut keys: Keys = vec![("over", json!(["image"])), ("prompts", json!(["words"]))];
    if parts.has_planes() {
        keys.push(("planes", json!(["hole", "visible"])));
    }
    keys.extend([
        ("predict", json!(scheduler.predict)),
        ("precision", json!(folder.part("unet").weights()?.precision)),
        ("schedule", scheduler.schedule),
        ("sampler", scheduler.sampler),
        ("network", parts.unet.network),
    ]);
    model.denoisers = vec![("picture".into(), keys)];
    Ok(model)
}

/// A line of the checkpoint.
pub(super) fn part(folder: &ModelFolder, name: &str, part: &str, map: &str) -> Result<(String, Value)> {
    Ok((name.to_string(), json!({"from": folder.part(part).weights()?.from, "map": map})))
}

/// The autoencoder and the network of a pipeline of images.
pub(super) struct Parts {
    pub unet: AdoptedUnet,
    pub autoencoder: AdoptedAutoencoder,
}

impl Parts {
    pub fn read(folder: &ModelFolder) -> Result<Parts> {
        let unet = folder.part("unet").config()?;
        let parts =
            Parts { unet: unet::adopt(&unet)?, autoencoder: autoencoder_kl::read(&folder.part("vae").config()?)? };
        let channels = parts.autoencoder.latent_channels;
        if ![channels, 2 * channels + 1].contains(&parts.unet.in_channels) {
            let usual = format!("{channels} (the latent), or {} (latent, mask and masked latent)", 2 * channels + 1);
            return Err(unet.unusual("in_channels", usual));
        }
        Ok(parts)
    }

    /// True for in-painting: the network also gets a mask and a masked latent.
    pub fn has_planes(&self) -> bool {
        self.unet.in_channels != self.autoencoder.latent_channels
    }

    /// The model with its stream and planes, without its text encoders and its denoiser.
    pub fn model(&self, folder: &ModelFolder) -> Result<AdoptedModel> {
        let autoencoder = || part(folder, "streams.image", "vae", "autoencoder-kl");
        let mut checkpoint = vec![autoencoder()?];
        let mut prompts = Vec::new();
        if self.has_planes() {
            let (_, visible) = autoencoder()?;
            checkpoint.push(("prompts.visible".into(), visible));
            prompts = self.planes();
        }
        checkpoint.push(part(folder, "denoisers.picture", "unet", "unet-2d")?);
        let streams = vec![("image".into(), self.autoencoder.stream(self.unet.side))];
        Ok(AdoptedModel { name: folder.name(), checkpoint, streams, prompts, ..AdoptedModel::default() })
    }

    fn planes(&self) -> Vec<(String, Keys)> {
        let side = self.unet.side;
        let codec = |name: &str| {
            let pixels = side * self.autoencoder.factor;
            ("codec", json!({"use": name, "height": pixels, "width": pixels, "fit": "crop"}))
        };
        let hole = vec![codec("image/gray"), ("module", json!("vae/mask")), ("plane", json!([1, side, side]))];
        let plane = json!([self.autoencoder.latent_channels, side, side]);
        let visible = vec![codec("image/masked"), ("module", self.autoencoder.module.clone()), ("plane", plane)];
        vec![("hole".into(), hole), ("visible".into(), visible)]
    }
}

/// The error of a pipeline without a part that its class needs.
pub(super) fn no_part(folder: &ModelFolder, part: &str) -> AdoptError {
    AdoptError::NoPart { folder: folder.path.display().to_string(), part: part.into() }
}
