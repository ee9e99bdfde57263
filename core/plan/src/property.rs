//! Checks values against the JSON Schema of a described parameter: `type`, `enum`, bounds, `items`, lengths.

use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::error::Report;
use crate::plan::FILES;
use crate::problem::{Hint, Problem};
use crate::yaml::{Content, Entry, Node};

/// A mapping with parameters of a described thing.
pub(crate) struct Owner<'a> {
    /// Its name in messages.
    pub label: String,
    /// Parameter -> its JSON Schema.
    pub own: &'a IndexMap<String, Json>,
    /// Its other keys, for hints.
    pub others: Vec<&'static str>,
}

impl Owner<'_> {
    /// Reads one of its parameters.
    pub fn read(&self, entry: &Entry, report: &mut Report) -> Option<Json> {
        let key = &entry.key.value;
        let Some(schema) = self.own.get(key) else {
            let hint = Hint::among(key, self.own.keys().map(String::as_str).chain(self.others.iter().copied()));
            report.error(entry.key.span, Problem::UnknownKey { key: key.clone(), within: self.label.clone(), hint });
            return None;
        };
        read(schema, &entry.node, &format!("`{key}` of {}", self.label), report)
    }
}

/// True if a value is the name of a source of files.
pub(crate) fn is_source(schema: &Json) -> bool {
    schema.get("format").and_then(Json::as_str) == Some("source")
}

/// Reads a value; `what` names the parameter in messages. Integers become floating-point numbers if the schema wants those.
fn read(schema: &Json, node: &Node, what: &str, report: &mut Report) -> Option<Json> {
    let value = of_type(schema, node, what, report)?;
    if let Some(bound) = broken_bound(schema, &value) {
        let problem = Problem::OutOfBounds { what: what.into(), value: shown(&value), bound };
        report.error(node.span, problem);
        return None;
    }
    in_enum(schema, &value, node, what, report)?;
    Some(value)
}

/// The default of a schema.
pub(crate) fn default(schema: &Json) -> Option<Json> {
    schema.get("default").cloned()
}

/// The bound that a value violates, in words.
pub(crate) fn broken_bound(schema: &Json, value: &Json) -> Option<String> {
    let limit = |key: &str| schema.get(key).and_then(Json::as_f64);
    if let Some(number) = value.as_f64() {
        let low = limit("minimum").filter(|limit| number < *limit).map(|limit| format!("at least {limit}"));
        let above = limit("exclusiveMinimum").filter(|limit| number <= *limit).map(|limit| format!("above {limit}"));
        let high = limit("maximum").filter(|limit| number > *limit).map(|limit| format!("at most {limit}"));
        let below = limit("exclusiveMaximum").filter(|limit| number >= *limit).map(|limit| format!("below {limit}"));
        return low.or(above).or(high).or(below);
    }
    let (count, least, most, unit) = match value {
        Json::Array(items) => (items.len() as f64, "minItems", "maxItems", "items"),
        Json::String(text) => (text.chars().count() as f64, "minLength", "maxLength", "characters"),
        _ => return None,
    };
    if repeats(schema, value) {
        return Some("a list without duplicates".into());
    }
    let few = limit(least).filter(|limit| count < *limit).map(|limit| format!("of at least {limit} {unit}"));
    few.or(limit(most).filter(|limit| count > *limit).map(|limit| format!("of at most {limit} {unit}")))
}

/// True if a list has equal items although they must differ.
fn repeats(schema: &Json, value: &Json) -> bool {
    let unique = schema.get("uniqueItems").and_then(Json::as_bool).unwrap_or(false);
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    unique && items.iter().enumerate().any(|(index, item)| items[..index].contains(item))
}

fn of_type(schema: &Json, node: &Node, what: &str, report: &mut Report) -> Option<Json> {
    let wanted = schema.get("type").and_then(Json::as_str).unwrap_or("");
    match (wanted, &node.content) {
        ("integer", Content::Number(number)) if number.is_i64() || number.is_u64() => Some(node.json()),
        ("number", Content::Number(number)) => number.as_f64().map(Json::from),
        // The engine passes the texts of the files.
        ("object", Content::String(_)) if is_of_files(schema) => Some(node.json()),
        ("object", Content::Mapping(_)) if !is_of_files(schema) => Some(node.json()),
        ("boolean", Content::Flag(_)) | ("string", Content::String(_)) => Some(node.json()),
        ("array", Content::List(items)) => list(schema, items, what, report),
        ("", _) => Some(node.json()),
        _ => {
            let expected = if is_of_files(schema) { "the path of a file or folder" } else { in_words(wanted) };
            let problem =
                Problem::WrongForm { what: what.into(), expected: expected.into(), found: node.found_for(expected) };
            report.error(node.span, problem);
            None
        }
    }
}

/// True for the parameter `files`: a plan has the path of a file or folder, and a plugin gets texts by name.
fn is_of_files(schema: &Json) -> bool {
    schema.get("format").is_some_and(|format| format == FILES)
}

fn list(schema: &Json, items: &[Node], what: &str, report: &mut Report) -> Option<Json> {
    let Some(of) = schema.get("items") else { return Some(items.iter().map(Node::json).collect()) };
    let what = format!("an item of {what}");
    let read: Vec<_> = items.iter().map(|item| read(of, item, &what, report)).collect();
    read.into_iter().collect::<Option<Vec<Json>>>().map(Json::from)
}

fn in_enum(schema: &Json, value: &Json, node: &Node, what: &str, report: &mut Report) -> Option<()> {
    let Some(allowed) = schema.get("enum").and_then(Json::as_array) else { return Some(()) };
    if allowed.contains(value) {
        return Some(());
    }
    let words: Vec<String> = allowed.iter().map(shown).collect();
    let hint = Hint::among(&shown(value), words.iter().map(String::as_str));
    report.error(node.span, Problem::BadWord { what: what.into(), word: shown(value), hint });
    None
}

fn in_words(wanted: &str) -> &'static str {
    match wanted {
        "integer" => "an integer",
        "number" => "a number",
        "boolean" => "`true` or `false`",
        "string" => "a string",
        "array" => "a list",
        _ => "a mapping",
    }
}

fn shown(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(items) => format!("a list of {}", items.len()),
        other => other.to_string(),
    }
}
