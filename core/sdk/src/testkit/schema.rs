//! The JSON Schema of parameters, and values to try a component with.

use serde_json::{Map, Value, json};

use super::outcome::{Unmet, Verdict};

/// Keywords that the planner enforces.
const ENFORCED: [&str; 15] = [
    "type",
    "format",
    "enum",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "items",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minLength",
    "maxLength",
    "default",
    "const",
];
/// Keywords for people and for this test kit, which tries an example rather than the default.
const FOR_PEOPLE: [&str; 3] = ["description", "title", "examples"];
/// The parameter that names files, whose texts the host passes.
const FILES: &str = "files";

/// Checks that every default and example fits its schema, and that the planner enforces all of the schema.
pub(super) fn check(parameters: &Map<String, Value>) -> Verdict {
    for (name, schema) in parameters {
        let Some(keywords) = schema.as_object() else {
            return Err(format!("the schema of `{name}` is not an object").into());
        };
        let is_of_files = schema["format"] == FILES && schema["type"] == "object";
        if (name == FILES) != is_of_files || (!is_of_files && keywords.contains_key("format")) {
            let text = format!("`{name}`: the parameter `files`, and no other, has type `object` and format `files`");
            return Err(text.into());
        }
        let known = |word: &String| ENFORCED.contains(&word.as_str()) || FOR_PEOPLE.contains(&word.as_str());
        if let Some(word) = keywords.keys().find(|word| !known(word)) {
            return Err(
                format!("the schema of `{name}` has the keyword `{word}`, which the planner does not enforce").into()
            );
        }
        let examples = keywords.get("examples").and_then(Value::as_array).into_iter().flatten();
        for value in keywords.get("default").into_iter().chain(examples) {
            misfit(schema, value)
                .map_or(Ok(()), |why| Err(format!("`{name}` has the default or example {value}: {why}")))?;
        }
    }
    Ok(format!("{} parameters", parameters.len()))
}

/// The reason why a value does not fit a schema.
fn misfit(schema: &Value, value: &Value) -> Option<String> {
    let fits = match schema["type"].as_str() {
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        Some(other) => return Some(format!("there is no type `{other}`")),
        None => schema["enum"].is_array(),
    };
    if !fits {
        return Some(format!("it is not of type {}", schema["type"]));
    }
    if schema["enum"].as_array().is_some_and(|allowed| !allowed.contains(value)) {
        return Some("it is not in `enum`".into());
    }
    let limit = |key: &str| schema[key].as_f64();
    let out = |measure: f64, least: &str, most: &str| {
        limit(least).is_some_and(|limit| measure < limit) || limit(most).is_some_and(|limit| measure > limit)
    };
    let outside = match value {
        Value::Number(number) => {
            let x = number.as_f64().unwrap_or(f64::NAN);
            let beyond =
                limit("exclusiveMinimum").is_some_and(|l| x <= l) || limit("exclusiveMaximum").is_some_and(|l| x >= l);
            beyond || out(x, "minimum", "maximum")
        }
        Value::String(text) => out(text.chars().count() as f64, "minLength", "maxLength"),
        Value::Array(items) => out(items.len() as f64, "minItems", "maxItems"),
        _ => false,
    };
    if outside {
        return Some("it is out of bounds".into());
    }
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let repeats = items.iter().enumerate().any(|(at, item)| items[..at].contains(item));
    if repeats && schema["uniqueItems"] == json!(true) {
        return Some("an item occurs twice".into());
    }
    let of = schema.get("items")?;
    items.iter().find_map(|item| misfit(of, item))
}

/// A value for every parameter: the given one, the first example, the default, or a small integer.
pub(super) fn values(parameters: &Map<String, Value>, given: &Map<String, Value>) -> Result<Map<String, Value>, Unmet> {
    if let Some(name) = given.keys().find(|name| !parameters.contains_key(*name)) {
        return Err(format!("there is no parameter `{name}`").into());
    }
    let value = |(name, schema): (&String, &Value)| {
        let known = given.get(name).or_else(|| schema["examples"].get(0)).or_else(|| schema.get("default"));
        let value = known.cloned().or_else(|| small(schema, 8).map(Value::from)).ok_or_else(|| {
            Unmet::Skipped(format!("`{name}` has neither a default nor `examples` in its schema; give a value for it"))
        })?;
        Ok((name.clone(), value))
    };
    parameters.iter().map(value).collect()
}

/// `wanted`, or the nearest integer that the schema allows.
pub(super) fn small(schema: &Value, wanted: i64) -> Option<i64> {
    if schema["type"] != "integer" {
        return None;
    }
    let least = schema["minimum"].as_i64().or(schema["exclusiveMinimum"].as_i64().map(|limit| limit + 1));
    let most = schema["maximum"].as_i64().or(schema["exclusiveMaximum"].as_i64().map(|limit| limit - 1));
    Some(wanted.max(least.unwrap_or(wanted)).min(most.unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_default_outside_its_schema_is_found() {
        assert!(check(&parameters(r#"{"n": {"type": "integer", "minimum": 1, "default": 3}}"#)).is_ok());
        assert!(check(&parameters(r#"{"files": {"type": "object", "format": "files"}}"#)).is_ok());
        let wrong = [
            r#"{"n": {"type": "integer", "default": 1.5}}"#,
            r#"{"n": {"type": "integer", "minimum": 2, "default": 1}}"#,
            r#"{"n": {"type": "number", "exclusiveMinimum": 0, "default": 0}}"#,
            r#"{"n": {"enum": ["a"], "default": "b"}}"#,
            r#"{"n": {"type": "array", "uniqueItems": true, "default": [1, 1]}}"#,
            r#"{"n": {"type": "array", "items": {"type": "string"}, "examples": [[1]]}}"#,
            r#"{"n": {"type": "string", "pattern": "a+", "default": "a"}}"#,
            r#"{"n": {"type": "object", "format": "files"}}"#,
            r#"{"n": {"type": "string", "format": "date", "default": "a"}}"#,
            r#"{"files": {"type": "string", "default": "a"}}"#,
        ];
        for text in wrong {
            assert!(matches!(check(&parameters(text)), Err(Unmet::Failed(_))), "{text}");
        }
    }

    #[test]
    fn values_are_given_or_examples_or_by_default_or_small() {
        let schemas = parameters(
            r#"{"a": {"type": "integer", "default": 3}, "b": {"type": "array", "default": [], "examples": [[7]]},
                "c": {"type": "integer", "minimum": 12}, "d": {"type": "integer", "maximum": 5}}"#,
        );
        let found = values(&schemas, &parameters(r#"{"a": 4}"#)).ok().map(Value::Object);
        assert_eq!(found, Some(json!({"a": 4, "b": [7], "c": 12, "d": 5})));
        assert!(matches!(values(&parameters(r#"{"s": {"type": "string"}}"#), &Map::new()), Err(Unmet::Skipped(_))));
        assert!(matches!(values(&Map::new(), &parameters(r#"{"s": 1}"#)), Err(Unmet::Failed(_))));
    }
}
