//! Configurations of published models: JSON objects whose missing keys have the defaults of their class.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::{AdoptError, Result};
use crate::regular;

/// The longest file that is read: the vocabulary of a large model has 10 MB.
const MAX_JSON_BYTES: u64 = 32 << 20;

/// A configuration.
pub(super) struct Config {
    path: PathBuf,
    values: Map<String, Value>,
}

/// Reads a JSON file, with the numbers that Python writes and JSON does not have: they become null.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let shown = || path.display().to_string();
    let unreadable = |source| AdoptError::Read { path: shown(), source };
    let mut text = Vec::new();
    let file = regular::open(path).map_err(unreadable)?;
    file.take(MAX_JSON_BYTES).read_to_end(&mut text).map_err(unreadable)?;
    serde_json::from_slice(&without_infinities(text))
        .map_err(|error| AdoptError::Json { path: shown(), text: error.to_string() })
}

/// What Python's `json` writes for numbers that are not finite.
const INFINITIES: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];

fn without_infinities(text: Vec<u8>) -> Vec<u8> {
    let mut found = Vec::with_capacity(text.len());
    let (mut at, mut is_string) = (0, false);
    while at < text.len() {
        let rest = &text[at..];
        if let Some(word) = INFINITIES.iter().find(|word| !is_string && rest.starts_with(word)) {
            found.extend_from_slice(b"null");
            at += word.len();
            continue;
        }
        // A quote behind a backslash ends no string.
        let taken = if is_string && rest[0] == b'\\' { rest.len().min(2) } else { 1 };
        is_string ^= rest[0] == b'"';
        found.extend_from_slice(&rest[..taken]);
        at += taken;
    }
    found
}

impl Config {
    /// Reads a configuration; one of quantized weights is refused.
    pub fn read(path: &Path) -> Result<Config> {
        let config = Config { path: path.to_path_buf(), values: read_json(path)? };
        match config.given("quantization_config") {
            Some(quantized) => {
                let method = quantized.get("quant_method").and_then(Value::as_str).unwrap_or("of an unnamed method");
                Err(AdoptError::QuantizationConfig { path: config.path(), method: method.into() })
            }
            None => Ok(config),
        }
    }

    /// A configuration inside another one.
    pub fn inner(&self, key: &str) -> Result<Config> {
        Ok(Config { path: self.path.clone(), values: self.need(key, "an object")? })
    }

    /// Its path, for messages.
    pub fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// The class that it is a configuration of.
    pub fn class(&self) -> Result<String> {
        let architecture = self.given("architectures").and_then(|classes| classes.get(0));
        match self.given("_class_name").or(architecture).and_then(Value::as_str) {
            Some(class) => Ok(class.to_string()),
            None => self.need("_class_name", "the name of a class"),
        }
    }

    /// The release that wrote it: `diffusers 0.6.0`.
    pub fn writer(&self) -> String {
        let release = |key: &str, by: &str| Some(format!("{by} {}", self.given(key)?.as_str()?));
        let writer =
            release("_diffusers_version", "diffusers").or_else(|| release("transformers_version", "transformers"));
        writer.unwrap_or_else(|| "an unnamed release".into())
    }

    /// The value of a key, unless it is missing or null.
    pub fn given(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|value| !value.is_null())
    }

    /// The value of a key that must be there; `wanted` names its form.
    pub fn need<T: DeserializeOwned>(&self, key: &str, wanted: &'static str) -> Result<T> {
        let value = self.given(key).cloned().unwrap_or_default();
        let found = if value.is_null() { "missing".to_string() } else { value.to_string() };
        serde_json::from_value(value).map_err(|_| AdoptError::Form {
            path: self.path(),
            key: key.into(),
            found,
            wanted,
        })
    }

    /// The value of a key, or the default of its class.
    pub fn get<T: DeserializeOwned>(&self, key: &str, default: T, wanted: &'static str) -> Result<T> {
        if self.given(key).is_some() { self.need(key, wanted) } else { Ok(default) }
    }

    /// A number, or one per level.
    pub fn levels(&self, key: &str, default: i64) -> Result<Vec<i64>> {
        match self.given(key) {
            Some(Value::Array(_)) => self.need(key, "a list of whole numbers"),
            _ => Ok(vec![self.get(key, default, "a whole number")?]),
        }
    }

    /// Refuses another value than the usual one. A missing key has the usual value.
    pub fn usual(&self, key: &str, usual: &Value) -> Result<()> {
        match self.given(key) {
            Some(found) if !is_same(found, usual) => Err(self.unusual(key, usual.to_string())),
            _ => Ok(()),
        }
    }

    /// The error of a value that we do not build.
    pub fn unusual(&self, key: &str, usual: String) -> AdoptError {
        let found = self.values.get(key).map_or("missing".into(), Value::to_string);
        AdoptError::Unusual { path: self.path(), key: key.into(), found, usual }
    }
}

/// True for equal values; `1` is `1.0`.
fn is_same(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().is_some_and(|number| other.as_f64() == Some(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_json_does_not_have_are_null() {
        let text = br#"{"a": -Infinity, "b": [NaN, Infinity, 1], "c": "-Infinity \" NaN", "d\\": NaN}"#;
        let found: Value = serde_json::from_slice(&without_infinities(text.to_vec())).unwrap();
        let wanted = serde_json::json!({"a": null, "b": [null, null, 1], "c": "-Infinity \" NaN", "d\\": null});
        assert_eq!(found, wanted);
    }
}
