//! The files of a tokenizer.

use std::collections::BTreeMap;

use anyflow_sdk::Error;
use serde_json::{Map, Value};

/// Texts by file name.
#[derive(serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct TokenizerFiles(BTreeMap<String, String>);

impl TokenizerFiles {
    /// The text of a file, if it is there.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The object of a JSON file, if it is there.
    pub fn object(&self, name: &str) -> Result<Option<Map<String, Value>>, Error> {
        let parsed = self.text(name).map(serde_json::from_str);
        parsed.transpose().map_err(|error| Error::Parameters(format!("files: {name} is not a JSON object: {error}")))
    }

    /// The object of a JSON file.
    pub fn needed_object(&self, name: &str) -> Result<Map<String, Value>, Error> {
        self.object(name)?.ok_or_else(|| self.missing(name))
    }

    /// The text of a file.
    pub fn needed(&self, name: &str) -> Result<&str, Error> {
        self.text(name).ok_or_else(|| self.missing(name))
    }

    fn missing(&self, name: &str) -> Error {
        let names = self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let found = if names.is_empty() { "no text files" } else { &names };
        Error::Parameters(format!(
            "files: neither tokenizer.json nor {name} is there, but {found}; name the folder in which the tokenizer was \
             published"
        ))
    }

    /// The pairs of `merges.txt`, in order.
    pub fn merges(&self) -> Result<Value, Error> {
        let lines = self.needed("merges.txt")?.lines().enumerate();
        let lines = lines.filter(|(number, line)| !(line.is_empty() || (*number == 0 && line.starts_with("#version"))));
        let pair = |(number, line): (usize, &str)| match line.split_once(' ') {
            Some((left, right)) if !right.contains(' ') => Ok(Value::from(vec![left, right])),
            _ => Err(Error::Parameters(format!(
                "files: line {} of merges.txt is not a pair of tokens with a space between",
                number + 1
            ))),
        };
        lines.map(pair).collect::<Result<Vec<_>, _>>().map(Value::from)
    }
}
