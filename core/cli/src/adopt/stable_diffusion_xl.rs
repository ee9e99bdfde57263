//! `StableDiffusionXLPipeline` of diffusers, and its refiner.

use serde_json::{Value, json};

use super::config::Config;
use super::error::{AdoptError, Result};
use super::folder::ModelFolder;
use super::latent_diffusion::{LatentDiffusion, part};
use super::model::{AdoptedModel, Keys};
use super::text_encoder::{self, AdoptedText, Layer};

const FLAG: &str = "true or false";

/// A text encoder of the pipeline.
struct Tower {
    name: &'static str,
    part: &'static str,
    tokenizer: &'static str,
    text: AdoptedText,
}

/// Adopts the pipeline in a folder.
pub(super) fn adopt(folder: &ModelFolder, config: &Config) -> Result<AdoptedModel> {
    let diffusion = LatentDiffusion::read(folder)?;
    let unet = folder.part("unet").config()?;
    if unet.given("addition_embed_type") != Some(&json!("text_time")) {
        return Err(unet.unusual("addition_embed_type", "\"text_time\"".into()));
    }
    let towers = towers(folder)?;
    let width: i64 = towers.iter().map(|tower| tower.text.width).sum();
    if width != diffusion.unet.cross_attention_dim {
        return Err(unet.unusual("cross_attention_dim", format!("{width}, the width of all text encoders,")));
    }
    let names: Vec<&str> = towers.iter().map(|tower| tower.name).collect();
    let pooled = format!("{}.pooled", names.last().copied().unwrap_or_default());
    let waves: i64 = unet.get("addition_time_embed_dim", 256, "a whole number")?;
    let vectors = json!({"from": [pooled, "sizes"], "waves": waves});
    let mut model = diffusion.model(folder, config, Some(vectors))?;
    if diffusion.autoencoder.needs_f32 {
        model.comments.push("The autoencoder overflows in f16; f32 and bf16 are right.".into());
    }
    let mut prompts = Vec::new();
    for (index, tower) in towers.iter().enumerate() {
        let key = format!("prompts.{}", tower.name);
        model.checkpoint.insert(1 + index, part(folder, &key, tower.part, "clip-text")?);
        prompts.push((tower.name.to_string(), tower.prompt(folder)?));
    }
    let is_zero: bool = config.get("force_zeros_for_empty_prompt", true, FLAG)?;
    let absent = if is_zero { json!({"tokens": 0.0}) } else { json!({"value": ""}) };
    let length = towers.first().map_or(0, |tower| tower.text.length);
    prompts.push((
        "words".into(),
        vec![("features", json!(names)), ("tokens", json!([length, width])), ("absent", absent)],
    ));
    // Original size, place of the crop, and target size, or for the refiner a score.
    let numbers = if config.get("requires_aesthetics_score", false, FLAG)? { 5 } else { 6 };
    prompts.push(("sizes".into(), vec![("vector", json!([numbers]))]));
    model.prompts.splice(0..0, prompts);
    Ok(model)
}

/// The text encoders: two, or for the refiner the second alone.
fn towers(folder: &ModelFolder) -> Result<Vec<Tower>> {
    let mut towers = Vec::new();
    for (name, part, tokenizer) in
        [("clip-l", "text_encoder", "tokenizer"), ("clip-g", "text_encoder_2", "tokenizer_2")]
    {
        let is_second = part == "text_encoder_2";
        if folder.path.join(part).is_dir() {
            let config = folder.part(part).config()?;
            let text = text_encoder::tower(&config, Layer::LastButOne, is_second)?;
            towers.push(Tower { name, part, tokenizer, text });
        } else if is_second {
            return Err(AdoptError::NoPart { folder: folder.path.display().to_string(), part: part.into() });
        }
    }
    Ok(towers)
}

impl Tower {
    fn prompt(&self, folder: &ModelFolder) -> Result<Keys> {
        let mut keys = text_encoder::prompt(&self.text, &folder.part(self.tokenizer))?;
        if self.text.module.get("projection_dim").is_some_and(Value::is_i64) {
            keys.push(("vector", json!([self.text.vector])));
        }
        Ok(keys)
    }
}
