//! `BertModel` of transformers, and the sentence encoders made of it.

use serde_json::{Map, Value, json};

use super::config::{Config, read_json};
use super::error::Result;
use super::folder::ModelFolder;
use super::model::{AdoptedModel, mapping, unless};
use super::tokenizer;

const COUNT: &str = "a whole number";

/// Adopts the encoder, with the pooling that sentence-transformers describes beside it.
pub(super) fn adopt(folder: &ModelFolder, config: &Config) -> Result<AdoptedModel> {
    for (key, usual) in [
        ("position_embedding_type", json!("absolute")),
        ("is_decoder", json!(false)),
        ("add_cross_attention", json!(false)),
        ("hidden_act", json!("gelu")),
    ] {
        config.usual(key, &usual)?;
    }
    let width: i64 = config.get("hidden_size", 768, COUNT)?;
    let inner: i64 = config.get("intermediate_size", 3072, COUNT)?;
    let positions: i64 = config.get("max_position_embeddings", 512, COUNT)?;
    let words: i64 = config.get("vocab_size", 30522, COUNT)?;
    let eps: f64 = config.get("layer_norm_eps", 1e-12, "a number")?;
    let Pooling { by, normalize, length } = Pooling::of(folder)?;
    let length = length.unwrap_or(positions).min(positions);
    let module = mapping([
        ("use", json!("bert/text")),
        ("hidden_size", json!(width)),
        ("num_hidden_layers", json!(config.get("num_hidden_layers", 12, COUNT)?)),
        ("num_attention_heads", json!(config.get("num_attention_heads", 12, COUNT)?)),
        ("intermediate_size", json!(inner)),
        ("vocab_size", unless(words, 30522)),
        ("max_position_embeddings", unless(positions, 512)),
        ("layer_norm_eps", unless(eps, 1e-12)),
        ("pooling", json!(by)),
        ("normalize", unless(normalize, false)),
    ]);
    let prompt = vec![
        ("codec", tokenizer::wordpiece(folder, length)?),
        ("module", module),
        ("tokens", json!([length, width])),
        ("vector", json!([width])),
    ];
    Ok(AdoptedModel {
        comments: vec![format!("Adopted from {}, {}.", config.class()?, config.writer())],
        name: folder.name(),
        checkpoint: vec![("prompts.words".into(), json!({"from": folder.weights()?.from, "map": "bert"}))],
        prompts: vec![("words".into(), prompt)],
        ..AdoptedModel::default()
    })
}

/// How the tokens become one vector.
struct Pooling {
    by: &'static str,
    normalize: bool,
    /// The most tokens that the encoder was trained on.
    length: Option<i64>,
}

impl Pooling {
    /// Reads `1_Pooling`, `modules.json` and `sentence_bert_config.json`; without them a vector is the mean over the tokens.
    fn of(folder: &ModelFolder) -> Result<Pooling> {
        let object = |name: &str| -> Result<Map<String, Value>> {
            let path = folder.path.join(name);
            if path.is_file() { read_json(&path) } else { Ok(Map::new()) }
        };
        let is_first = object("1_Pooling/config.json")?.get("pooling_mode_cls_token") == Some(&json!(true));
        let path = folder.path.join("modules.json");
        let modules: Vec<Map<String, Value>> = if path.is_file() { read_json(&path)? } else { Vec::new() };
        let kind =
            |module: &Map<String, Value>| module.get("type").and_then(Value::as_str).unwrap_or_default().to_string();
        let normalize = modules.iter().any(|module| kind(module).ends_with(".Normalize"));
        let length = object("sentence_bert_config.json")?.get("max_seq_length").and_then(Value::as_i64);
        Ok(Pooling { by: if is_first { "first" } else { "mean" }, normalize, length })
    }
}
