//! `StableDiffusionPipeline` of diffusers: versions 1 and 2, and in-painting with nine channels.

use serde_json::json;

use super::config::Config;
use super::error::Result;
use super::folder::ModelFolder;
use super::latent_diffusion::{LatentDiffusion, part};
use super::model::AdoptedModel;
use super::text_encoder::{self, Layer};

/// Adopts the pipeline in a folder.
pub(super) fn adopt(folder: &ModelFolder, config: &Config) -> Result<AdoptedModel> {
    let diffusion = LatentDiffusion::read(folder)?;
    let text = text_encoder::tower(&folder.part("text_encoder").config()?, Layer::Last, false)?;
    if text.width != diffusion.unet.cross_attention_dim {
        let usual = format!("{}, the width of text_encoder,", text.width);
        return Err(folder.part("unet").config()?.unusual("cross_attention_dim", usual));
    }
    let mut words = text_encoder::prompt(&text, &folder.part("tokenizer"))?;
    words.push(("absent", json!({"value": ""})));
    let mut model = diffusion.model(folder, config, None)?;
    model.checkpoint.insert(1, part(folder, "prompts.words", "text_encoder", "clip-text")?);
    model.prompts.insert(0, ("words".into(), words));
    Ok(model)
}
