//! Values and defaults of keys in words.

use serde_json::Value as Json;

use crate::surface::{Form, Mapping};

/// The values of a form, with bounds.
pub(super) fn describe(form: &Form) -> String {
    match form {
        Form::Any => "any value".into(),
        Form::Flag => "`true` or `false`".into(),
        Form::String => "string".into(),
        Form::Integer { minimum, maximum } if minimum == maximum => minimum.to_string(),
        Form::Integer { minimum, maximum } if *maximum >= i128::from(u32::MAX) => format!("integer from {minimum}"),
        Form::Integer { minimum, maximum } => format!("integer from {minimum} to {maximum}"),
        Form::Number { minimum, maximum, above } => {
            let low = if *above { format!("number above {minimum}") } else { format!("number from {minimum}") };
            if maximum.is_finite() { format!("{low} to {maximum}") } else { low }
        }
        Form::Choice(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            words.join(", ")
        }
        Form::Kind(family) => format!("{{kind: {}, ...}}", family.path()),
        Form::Use => "plugin/component, or {use: plugin/component, parameter: value, ...}".into(),
        Form::List(of) => format!("list of: {}", describe(of)),
        Form::OneOrMore(of) => format!("{}, or a list of these", describe(of)),
        Form::Or(one, other) => format!("{}, or {}", describe(one), describe(other)),
        Form::Names(of) => format!("name: {}", describe(of)),
        Form::Mapping(mapping) => format!("{{{} keys}}", mapping.name),
        Form::OneOf(mappings) => {
            let names: Vec<&str> = mappings.iter().map(|mapping| mapping.name).collect();
            format!("{{{} keys}}", names.join(" | "))
        }
        Form::Either(forms) => forms.iter().map(describe).collect::<Vec<_>>().join(", or "),
    }
}

/// The mappings inside a form.
pub(super) fn nested(form: &Form) -> Vec<&'static Mapping> {
    match form {
        Form::List(of) | Form::OneOrMore(of) | Form::Names(of) => nested(of),
        Form::Or(one, other) => [nested(one), nested(other)].concat(),
        Form::Mapping(mapping) => vec![mapping],
        Form::OneOf(mappings) => mappings.to_vec(),
        Form::Either(forms) => forms.iter().flat_map(nested).collect(),
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
