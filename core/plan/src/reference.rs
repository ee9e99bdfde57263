//! The reference of the YAML language: every key with its value, default and meaning, and a shipped file that uses it.
//!
//! `pipelines/REFERENCE.md` and `anyflow explain KEY` print the same entries.

mod entries;
mod markdown;
mod usage;
mod value;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value as Json;

use crate::descriptor::Generators;
use crate::problem::Hint;

pub use markdown::markdown;
pub use usage::used_keys;

/// The keys of a mapping or kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Section {
    /// `diffuse`, `sampler`, `sampler.ddim`, ...
    pub name: String,
    /// Its meaning; empty for a mapping, which its parent key describes.
    pub about: String,
    /// A shipped file that uses it, for a kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_in: Option<String>,
    /// Its keys.
    pub keys: Vec<KeyEntry>,
}

impl Section {
    /// True for a kind, false for the keys of a mapping or the shared keys of a family.
    pub fn is_kind(&self) -> bool {
        entries::is_kind(&self.name)
    }
}

/// One key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeyEntry {
    /// The name with its section: `sampler.ddim.eta`.
    pub key: String,
    /// The values it takes, in words.
    pub value: String,
    /// True if it must be written.
    pub required: bool,
    /// Its default, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Json>,
    /// Its meaning.
    pub about: String,
    /// A shipped file that uses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_in: Option<String>,
}

impl KeyEntry {
    /// The last part of the name, as written in YAML.
    pub fn name(&self) -> &str {
        self.key.rsplit('.').next().unwrap_or(&self.key)
    }

    /// The default as written in YAML; `required` without one, or nothing for an optional key.
    pub fn default_text(&self) -> Option<String> {
        if self.required { Some("required".into()) } else { self.default.as_ref().map(value::plain) }
    }
}

/// Key or kind -> a shipped file that uses it.
pub type Examples = BTreeMap<String, String>;

/// The shipped files, as of the build: lines `key<TAB>file`, kept up to date by a test.
const EXAMPLES: &str = include_str!("reference/examples.tsv");

/// The shipped examples, by key.
pub fn examples() -> Examples {
    let pairs = EXAMPLES.lines().filter_map(|line| line.split_once('\t'));
    pairs.map(|(key, file)| (key.to_string(), file.to_string())).collect()
}

/// All sections, in the order of the reference.
pub fn sections(examples: &Examples, generators: &Generators) -> Vec<Section> {
    entries::sections(examples, generators)
}

/// The sections about `name`, which is a key, a section, or the end of either. Sections are whole if their own name matches;
/// otherwise they have only the matching keys, and no text of their own.
///
/// # Errors
/// No key or section has this name; the hint has the nearest one.
pub fn find(name: &str, generators: &Generators) -> Result<Vec<Section>, Hint> {
    let suffix = format!(".{name}");
    let prefix = format!("{name}.");
    let matches = |known: &str| known == name || known.ends_with(&suffix);
    let mut found = Vec::new();
    let mut known = Vec::new();
    for section in sections(&examples(), generators) {
        known.push(section.name.clone());
        known.extend(section.name.rsplit_once('.').map(|(_, last)| last.to_string()));
        for entry in &section.keys {
            known.extend(entry.key.rsplit_once('.').map(|(_, last)| last.to_string()));
            known.push(entry.key.clone());
        }
        if matches(&section.name) || section.name.starts_with(&prefix) {
            found.push(section);
            continue;
        }
        let keys: Vec<KeyEntry> = section.keys.iter().filter(|entry| matches(&entry.key)).cloned().collect();
        if !keys.is_empty() {
            found.push(Section { about: String::new(), used_in: None, keys, ..section });
        }
    }
    if found.is_empty() { Err(Hint::among(name, known.iter().map(String::as_str))) } else { Ok(found) }
}
