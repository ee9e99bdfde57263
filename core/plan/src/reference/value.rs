//! Values and defaults of keys in words.

use anyflow_config::{Mapping, ValueForm};
use serde_json::Value as Json;

/// The values of a form, with bounds.
pub(super) fn describe(form: &ValueForm) -> String {
    match form {
        ValueForm::Any => "any value".into(),
        ValueForm::Flag => "`true` or `false`".into(),
        ValueForm::String => "string".into(),
        ValueForm::Name(part) => part.word().into(),
        ValueForm::Integer { minimum, maximum } if minimum == maximum => minimum.to_string(),
        ValueForm::Integer { minimum, maximum } if *maximum >= i128::from(u32::MAX) => {
            format!("integer from {minimum}")
        }
        ValueForm::Integer { minimum, maximum } => format!("integer from {minimum} to {maximum}"),
        ValueForm::Number { minimum, maximum, above } => {
            let low = if *above { format!("number above {minimum}") } else { format!("number from {minimum}") };
            if maximum.is_finite() { format!("{low} to {maximum}") } else { low }
        }
        ValueForm::Choice(words) => quoted(words.iter().copied()),
        ValueForm::Kind(family) => format!("{{kind: {}, ...}}", family.path),
        ValueForm::Use => "plugin/component, or {use: plugin/component, parameter: value, ...}".into(),
        ValueForm::List(of) => format!("list of: {}", describe(of)),
        ValueForm::OneOrMore(of) => format!("{}, or a list of these", describe(of)),
        ValueForm::Or(one, other) => format!("{}, or {}", describe(one), describe(other)),
        ValueForm::Names(of) => format!("name: {}", describe(of)),
        ValueForm::NamesOf(part, of) => format!("{}: {}", part.word(), describe(of)),
        ValueForm::Mapping(mapping) | ValueForm::Described(mapping) => format!("{{{} keys}}", mapping.name),
        ValueForm::OneOf(mappings) => {
            let names: Vec<&str> = mappings.iter().map(|mapping| mapping.name).collect();
            format!("{{{} keys}}", names.join(" | "))
        }
        ValueForm::Either(forms) => forms.iter().map(describe).collect::<Vec<_>>().join(", or "),
    }
}

/// The values of a described parameter.
pub(super) fn described(schema: &Json) -> String {
    match schema["enum"].as_array() {
        Some(words) => quoted(words.iter().filter_map(Json::as_str)),
        None => schema["type"].as_str().unwrap_or("any value").to_string(),
    }
}

fn quoted<'w>(words: impl Iterator<Item = &'w str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// The mappings inside a form.
pub(super) fn nested(form: &ValueForm) -> Vec<&'static Mapping> {
    match form {
        ValueForm::List(of) | ValueForm::OneOrMore(of) | ValueForm::Names(of) | ValueForm::NamesOf(_, of) => nested(of),
        ValueForm::Or(one, other) => [nested(one), nested(other)].concat(),
        ValueForm::Mapping(mapping) | ValueForm::Described(mapping) => vec![mapping],
        ValueForm::OneOf(mappings) => mappings.to_vec(),
        ValueForm::Either(forms) => forms.iter().flat_map(nested).collect(),
        _ => Vec::new(),
    }
}

/// A default as written in YAML. Nested keys with their own defaults are left out.
pub(super) fn plain(default: &Json) -> String {
    match default {
        Json::String(word) => word.clone(),
        Json::Object(object) => match object.get("kind").and_then(Json::as_str) {
            Some(kind) => format!("{{kind: {kind}}}"),
            None => "{}".into(),
        },
        Json::Number(number) => number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string()),
        other => other.to_string(),
    }
}
