//! Tokenizers: the codec of texts, and the id of the token that fills up short ones.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::config::read_json;
use super::error::{AdoptError, Result};
use super::folder::ModelFolder;

/// `tokenizer.json`, as far as ids go.
#[derive(Deserialize)]
struct Described {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    model: DescribedModel,
}

#[derive(Deserialize)]
struct AddedToken {
    id: i64,
    content: String,
}

#[derive(Deserialize)]
struct DescribedModel {
    #[serde(default)]
    vocab: Value,
}

const DESCRIBED: &str = "tokenizer.json";
const VOCABULARY: &str = "vocab.json";

/// The codec of CLIP's byte pairs. `length` is the number of positions of the text encoder.
pub(super) fn clip(folder: &ModelFolder, length: i64) -> Result<Value> {
    if !folder.path.join(DESCRIBED).is_file() {
        need(folder, &[VOCABULARY, "merges.txt"])?;
    }
    let pad = pad_token(folder)?.unwrap_or_else(|| "<|endoftext|>".into());
    let pad = id(folder, &pad)?.ok_or_else(|| missing(folder, format!("the id of its padding token {pad:?}")))?;
    Ok(json!({"use": "tokens/clip", "files": folder.named, "length": length, "pad": pad}))
}

/// The codec of BERT's word pieces.
pub(super) fn wordpiece(folder: &ModelFolder, length: i64) -> Result<Value> {
    if !folder.path.join(DESCRIBED).is_file() {
        need(folder, &["vocab.txt"])?;
    }
    Ok(json!({"use": "tokens/wordpiece", "files": folder.named, "length": length}))
}

fn need(folder: &ModelFolder, files: &[&str]) -> Result<()> {
    match files.iter().find(|file| !folder.path.join(file).is_file()) {
        Some(file) => Err(missing(folder, format!("{file} (or {DESCRIBED})"))),
        None => Ok(()),
    }
}

fn missing(folder: &ModelFolder, missing: String) -> AdoptError {
    AdoptError::Tokenizer { folder: folder.path.display().to_string(), missing }
}

/// The padding token, which either file names; as text, or as an object with the text.
fn pad_token(folder: &ModelFolder) -> Result<Option<String>> {
    for file in ["tokenizer_config.json", "special_tokens_map.json"] {
        let path = folder.path.join(file);
        if !path.is_file() {
            continue;
        }
        let values: Map<String, Value> = read_json(&path)?;
        let token = values.get("pad_token").and_then(|token| token.as_str().or_else(|| token.get("content")?.as_str()));
        if let Some(token) = token {
            return Ok(Some(token.to_string()));
        }
    }
    Ok(None)
}

/// The id of a token.
fn id(folder: &ModelFolder, token: &str) -> Result<Option<i64>> {
    let described = folder.path.join(DESCRIBED);
    if described.is_file() {
        let Described { added_tokens, model } = read_json(&described)?;
        let added = added_tokens.into_iter().find(|added| added.content == token).map(|added| added.id);
        return Ok(added.or_else(|| model.vocab.get(token)?.as_i64()));
    }
    let vocabulary: HashMap<String, i64> = read_json(&folder.path.join(VOCABULARY))?;
    Ok(vocabulary.get(token).copied())
}
