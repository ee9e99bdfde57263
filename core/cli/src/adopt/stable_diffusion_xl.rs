//! `StableDiffusionXLPipeline` of diffusers, and its refiner.

use serde_json::{Value, json};

use super::config::Config;
use super::error::Result;
use super::folder::ModelFolder;
use super::model::{AdoptedModel, Keys};
use super::scheduler;
use super::stable_diffusion::{Parts, no_part, part};
use super::text_encoder::{self, AdoptedText, Layer};

/// Waves of one number that joins the time.
const WAVES: i64 = 256;

/// A text encoder of the pipeline.
struct Tower {
    name: &'static str,
    part: &'static str,
    tokenizer: &'static str,
    text: AdoptedText,
}

/// Adopts the pipeline in a folder.
pub(super) fn adopt(folder: &ModelFolder, config: &Config) -> Result<AdoptedModel> {
    let parts = Parts::read(folder)?;
    let unet = folder.part("unet").config()?;
    unet.usual("addition_time_embed_dim", &json!(WAVES))?;
    if unet.given("addition_embed_type") != Some(&json!("text_time")) {
        return Err(unet.unusual("addition_embed_type", "\"text_time\"".into()));
    }
    let towers = towers(folder)?;
    let width: i64 = towers.iter().map(|tower| tower.text.width).sum();
    if width != parts.unet.cross_attention_dim {
        return Err(unet.unusual("cross_attention_dim", format!("{width}, the width of all text encoders,")));
    }
    let scheduler = scheduler::adopt(&folder.path)?;
    let is_zero: bool = config.get("force_zeros_for_empty_prompt", true, "true or false")?;
    let absent = if is_zero { json!({"tokens": 0.0}) } else { json!({"value": ""}) };
    let numbers = if config.get("requires_aesthetics_score", false, "true or false")? { 5 } else { 6 };
    let mut model = parts.model(folder)?;
    model.comments = vec![format!("Adopted from {}, {}. {}", config.class()?, config.writer(), scheduler.comment)];
    if parts.autoencoder.needs_f32 {
        model.comments.push("The autoencoder overflows in f16; f32 and bf16 are right.".into());
    }
    for (index, tower) in towers.iter().enumerate() {
        let key = format!("prompts.{}", tower.name);
        model.checkpoint.insert(1 + index, part(folder, &key, tower.part, "clip-text")?);
        model.prompts.push((tower.name.into(), tower.prompt(folder)?));
    }
    let names: Vec<&str> = towers.iter().map(|tower| tower.name).collect();
    let length = towers.first().map_or(0, |tower| tower.text.length);
    model.prompts.push((
        "words".into(),
        vec![("features", json!(names)), ("tokens", json!([length, width])), ("absent", absent)],
    ));
    model.prompts.push(("sizes".into(), vec![("vector", json!([numbers]))]));
    let pooled = format!("{}.pooled", names.last().copied().unwrap_or_default());
    model.denoisers = vec![("picture".into(), denoiser(folder, parts, scheduler, &pooled)?)];
    Ok(model)
}

fn denoiser(folder: &ModelFolder, parts: Parts, scheduler: scheduler::AdoptedScheduler, pooled: &str) -> Result<Keys> {
    let mut keys: Keys = vec![
        ("over", json!(["image"])),
        ("prompts", json!(["words"])),
        ("vectors", json!({"from": [pooled, "sizes"], "by": "add", "waves": WAVES})),
    ];
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
    Ok(keys)
}

/// The text encoders: two, or for the refiner the second alone.
fn towers(folder: &ModelFolder) -> Result<Vec<Tower>> {
    let mut towers = Vec::new();
    for (name, part, tokenizer) in
        [("clip-l", "text_encoder", "tokenizer"), ("clip-g", "text_encoder_2", "tokenizer_2")]
    {
        let is_second = part == "text_encoder_2";
        match folder.path.join(part).is_dir() {
            true => {
                let config = folder.part(part).config()?;
                let text = text_encoder::tower(&config, Layer::LastButOne, is_second)?;
                towers.push(Tower { name, part, tokenizer, text });
            }
            false if is_second => return Err(no_part(folder, part)),
            false => {}
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
