//! `CLIPTextModel` and `CLIPTextModelWithProjection` of transformers.

use serde_json::{Value, json};

use super::config::Config;
use super::error::Result;
use super::folder::ModelFolder;
use super::model::{AdoptedModel, Keys, mapping, unless};
use super::tokenizer;

const COUNT: &str = "a whole number";

/// Which state of the encoder is the prompt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    /// The last, after the final norm.
    Last,
    /// The last but one, without the norm.
    LastButOne,
}

/// A text tower.
pub(super) struct AdoptedText {
    pub module: Value,
    /// Features of a token.
    pub width: i64,
    /// Tokens of a text.
    pub length: i64,
    /// Features of the pooled vector.
    pub vector: i64,
}

/// Reads the configuration of a text tower. Only its projection gives it a pooled vector.
pub(super) fn tower(config: &Config, layer: Layer, has_projection: bool) -> Result<AdoptedText> {
    config.usual("attention_dropout", &json!(0))?;
    let width: i64 = config.get("hidden_size", 512, COUNT)?;
    let inner: i64 = config.get("intermediate_size", 2048, COUNT)?;
    let length: i64 = config.get("max_position_embeddings", 77, COUNT)?;
    let words: i64 = config.get("vocab_size", 49408, COUNT)?;
    let eps: f64 = config.get("layer_norm_eps", 1e-5, "a number")?;
    let vector: i64 = config.get("projection_dim", 512, COUNT)?;
    let end: i64 = config.get("eos_token_id", 49407, COUNT)?;
    let module = mapping([
        ("use", json!("clip/text")),
        ("hidden_size", json!(width)),
        ("num_hidden_layers", json!(config.get("num_hidden_layers", 12, COUNT)?)),
        ("num_attention_heads", json!(config.get("num_attention_heads", 8, COUNT)?)),
        ("hidden_act", json!(activation(config)?)),
        ("intermediate_size", json!(inner)),
        ("vocab_size", unless(words, 49408)),
        ("max_position_embeddings", unless(length, 77)),
        ("layer_norm_eps", unless(eps, 1e-5)),
        ("hidden_state", if layer == Layer::LastButOne { json!(-2) } else { Value::Null }),
        ("projection_dim", if has_projection { json!(vector) } else { Value::Null }),
        // Where old configurations say 2, the end of a text is its largest id.
        ("eos_token_id", if has_projection { json!(end) } else { Value::Null }),
    ]);
    Ok(AdoptedText { module, width, length, vector })
}

/// The activation of both towers.
pub(super) fn activation(config: &Config) -> Result<String> {
    let name: String = config.get("hidden_act", "quick_gelu".into(), "a name")?;
    if ["quick_gelu", "gelu"].contains(&name.as_str()) {
        return Ok(name);
    }
    Err(config.unusual("hidden_act", "quick_gelu or gelu".into()))
}

/// The prompt of a text tower and its tokenizer.
pub(super) fn prompt(text: &AdoptedText, tokenizer: &ModelFolder) -> Result<Keys> {
    Ok(vec![
        ("codec", tokenizer::clip(tokenizer, text.length)?),
        ("module", text.module.clone()),
        ("tokens", json!([text.length, text.width])),
    ])
}

/// A text tower alone, whose tokenizer is in the same folder or beside it.
pub(super) fn adopt(folder: &ModelFolder, config: &Config) -> Result<AdoptedModel> {
    let class = config.class()?;
    let has_projection = class.ends_with("WithProjection");
    let text = tower(config, Layer::Last, has_projection)?;
    let mut keys = prompt(&text, folder)?;
    if has_projection {
        keys.push(("vector", json!([text.vector])));
    }
    Ok(AdoptedModel {
        comments: vec![format!("Adopted from {class}, {}.", config.writer())],
        name: folder.name(),
        checkpoint: vec![("prompts.words".into(), json!({"from": folder.weights()?.from, "map": "clip-text"}))],
        prompts: vec![("words".into(), keys)],
        ..AdoptedModel::default()
    })
}
