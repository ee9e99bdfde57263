//! A model file to be written.

use serde_json::{Value, json};

use super::yaml::line;

/// Keys and values.
pub(super) type Keys = Vec<(&'static str, Value)>;

/// A model.
#[derive(Default)]
pub(super) struct AdoptedModel {
    /// Where it comes from, and what was decided for it: a line each.
    pub comments: Vec<String>,
    pub name: String,
    pub license: Option<String>,
    /// Part -> file.
    pub checkpoint: Vec<(String, Value)>,
    pub streams: Vec<(String, Keys)>,
    pub prompts: Vec<(String, Keys)>,
    pub scorers: Vec<(String, Value)>,
    pub denoisers: Vec<(String, Keys)>,
}

impl AdoptedModel {
    /// Its text. The same model has the same bytes.
    pub fn yaml(&self) -> String {
        let mut text: String =
            self.comments.iter().map(|comment| format!("# {}\n", comment.replace('\n', " "))).collect();
        text += "anyflow: 1\n";
        text += &line(0, "name", &json!(self.name));
        if let Some(license) = &self.license {
            text += &line(0, "license", &json!(license));
        }
        text += &flat("checkpoint", &self.checkpoint);
        text += &nested("streams", &self.streams);
        text += &nested("prompts", &self.prompts);
        text += &flat("scorers", &self.scorers);
        text + &nested("denoisers", &self.denoisers)
    }
}

fn flat(section: &str, entries: &[(String, Value)]) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let lines: String = entries.iter().map(|(name, value)| line(2, name, value)).collect();
    format!("{section}:\n{lines}")
}

fn nested(section: &str, entries: &[(String, Keys)]) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let entry = |(name, keys): &(String, Keys)| {
        let keys: String = keys.iter().map(|(key, value)| line(4, key, value)).collect();
        format!("  {name}:\n{keys}")
    };
    format!("{section}:\n{}", entries.iter().map(entry).collect::<String>())
}

/// A mapping without its entries that are null.
pub(super) fn mapping<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Object(
        entries.into_iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key.into(), value)).collect(),
    )
}

/// The value, or null where it is the default, so that [`mapping`] leaves it out.
pub(super) fn unless<T: PartialEq + Into<Value>>(value: T, default: T) -> Value {
    if value == default { Value::Null } else { value.into() }
}
