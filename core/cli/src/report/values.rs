//! Any JSON as tables: for figures whose form is not known here.

use maud::{Markup, html};
use serde_json::{Map, Value};

use super::cell::inline;
use crate::progress::words;

/// An object as rows, a list of like objects as a table, anything else as text.
pub(super) fn table(value: &Value) -> Markup {
    match value {
        Value::Object(object) if object.is_empty() => html! { span.dim { "none" } },
        Value::Object(object) => records(object),
        Value::Array(items) if items.is_empty() => html! { span.dim { "none" } },
        Value::Array(items) if items.iter().all(Value::is_object) => columns(items),
        Value::String(text) if is_hash(text) => html! { span.mono { (text) } },
        other => html! { (inline(other)) },
    }
}

fn records(object: &Map<String, Value>) -> Markup {
    html! {
        table { tbody {
            @for (name, value) in object { tr { th scope="row" { (words(name)) } td { (table(value)) } } }
        } }
    }
}

fn columns(items: &[Value]) -> Markup {
    let mut names: Vec<&String> = Vec::new();
    for name in items.iter().filter_map(Value::as_object).flat_map(Map::keys) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let numeric = |name: &String| items.iter().all(|item| item.get(name).is_none_or(|v| v.is_number() || v.is_null()));
    html! {
        table {
            thead { tr { @for name in &names { th.number[numeric(name)] { (words(name)) } } } }
            tbody {
                @for item in items {
                    tr { @for name in &names {
                        td.number[numeric(name)] {
                            @match item.get(name.as_str()) {
                                Some(Value::Null) | None => { span.dim { "–" } }
                                Some(value) => (table(value))
                            }
                        }
                    } }
                }
            }
        }
    }
}

fn is_hash(text: &str) -> bool {
    text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
