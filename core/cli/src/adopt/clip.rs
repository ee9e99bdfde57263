//! `CLIPModel` of transformers: both towers, and the scale of their cosine.

use serde_json::{Value, json};

use super::autoencoder_kl::rgb;
use super::config::Config;
use super::error::Result;
use super::folder::ModelFolder;
use super::model::{AdoptedModel, Keys, mapping, unless};
use super::text_encoder::{self, Layer};

const COUNT: &str = "a whole number";
const NUMBERS: &str = "three numbers";
/// Those of the images that CLIP was trained on.
const MEAN: [f64; 3] = [0.48145466, 0.4578275, 0.40821073];
const DEVIATION: [f64; 3] = [0.26862954, 0.26130258, 0.27577711];
/// The number of this filter in Pillow.
const BICUBIC: i64 = 3;

/// Adopts both towers.
pub(super) fn adopt(folder: &ModelFolder, config: &Config) -> Result<AdoptedModel> {
    let text = config.inner("text_config")?;
    // The model projects both towers to the size that stands beside them.
    let vector: i64 = config.get("projection_dim", 512, COUNT)?;
    let mut text = text_encoder::tower(&text, Layer::Last, true)?;
    text.module["projection_dim"] = json!(vector);
    let mut words = text_encoder::prompt(&text, folder)?;
    words.push(("vector", json!([vector])));
    let image = image(folder, &config.inner("vision_config")?, vector)?;
    let from = folder.weights()?.from;
    let part = |name: &str, map: &str| (name.to_string(), json!({"from": from, "map": map}));
    Ok(AdoptedModel {
        comments: vec![format!("Adopted from CLIPModel, {}.", config.writer())],
        name: folder.name(),
        checkpoint: vec![
            part("prompts.image", "clip-image"),
            part("prompts.words", "clip-text"),
            part("scorers.fit", "clip-scale"),
        ],
        prompts: vec![("image".into(), image), ("words".into(), words)],
        scorers: vec![("fit".into(), json!({"between": ["image", "words"]}))],
        ..AdoptedModel::default()
    })
}

fn image(folder: &ModelFolder, config: &Config, vector: i64) -> Result<Keys> {
    config.usual("num_channels", &json!(3))?;
    let pixels: i64 = config.get("image_size", 224, "one whole number, the same for height and width")?;
    let patch: i64 = config.get("patch_size", 32, COUNT)?;
    let width: i64 = config.get("hidden_size", 768, COUNT)?;
    let inner: i64 = config.get("intermediate_size", 3072, COUNT)?;
    let eps: f64 = config.get("layer_norm_eps", 1e-5, "a number")?;
    let [mean, std] = statistics(folder)?;
    let module = mapping([
        ("use", json!("clip/image")),
        ("hidden_size", json!(width)),
        ("num_hidden_layers", json!(config.get("num_hidden_layers", 12, COUNT)?)),
        ("num_attention_heads", json!(config.get("num_attention_heads", 12, COUNT)?)),
        ("hidden_act", json!(text_encoder::activation(config)?)),
        ("patch_size", json!(patch)),
        ("intermediate_size", json!(inner)),
        ("layer_norm_eps", unless(eps, 1e-5)),
        ("projection_dim", json!(vector)),
        ("image_mean", mean),
        ("image_std", std),
    ]);
    let side = pixels / patch.max(1);
    let tokens = json!([side * side + 1, width]);
    Ok(vec![("codec", rgb(pixels)), ("module", module), ("tokens", tokens), ("vector", json!([vector]))])
}

/// Mean and deviation of the colors, as the images were normalized.
fn statistics(folder: &ModelFolder) -> Result<[Value; 2]> {
    let path = folder.path.join("preprocessor_config.json");
    if !path.is_file() {
        return Ok([json!(MEAN), json!(DEVIATION)]);
    }
    let config = Config::read(&path)?;
    for key in ["do_resize", "do_center_crop", "do_normalize"] {
        config.usual(key, &json!(true))?;
    }
    config.usual("resample", &json!(BICUBIC))?;
    let mean: [f64; 3] = config.get("image_mean", MEAN, NUMBERS)?;
    let deviation: [f64; 3] = config.get("image_std", DEVIATION, NUMBERS)?;
    Ok([json!(mean), json!(deviation)])
}
