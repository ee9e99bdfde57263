//! Values of a dataset as single lines.

use serde_json::{Map, Value};

use crate::command::bytes;
use crate::progress::words;

const LONGEST: usize = 100;

/// A value on one line, cut to 100 characters.
pub(super) fn line(value: &Value) -> String {
    let text = whole(value);
    if text.chars().count() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST).chain(" ...".chars()).collect()
}

/// Text without quotes, lists in brackets, media and classes by their description.
fn whole(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace('\n', "⏎"),
        Value::Array(items) => format!("[{}]", items.iter().map(whole).collect::<Vec<_>>().join(", ")),
        Value::Object(object) if object.contains_key("media_type") => media(object),
        Value::Object(object) => match (object.get("class"), object.get("name"), object.get("hex")) {
            (Some(class), Some(name), _) if whole(name) == whole(class) => whole(class),
            (Some(class), Some(name), _) => format!("{} (class {class})", whole(name)),
            (_, _, Some(hex)) => format!("{} ({})", whole(hex), size(object)),
            _ => {
                let part = |(key, value): (&String, &Value)| format!("{} {}", words(key), whole(value));
                object.iter().map(part).collect::<Vec<_>>().join(", ")
            }
        },
        other => other.to_string(),
    }
}

/// `image/png 28x28 (301 B)`.
fn media(object: &Map<String, Value>) -> String {
    let number = |key: &str| object.get(key).and_then(Value::as_f64);
    let mut text = object.get("media_type").map(whole).unwrap_or_default();
    if let (Some(width), Some(height)) = (number("width_px"), number("height_px")) {
        text += &format!(" {width}x{height}");
    }
    if let Some(rate) = number("sampling_rate") {
        text += &format!(" {rate} Hz");
    }
    if let Some(seconds) = number("duration_secs") {
        text += &format!(" {seconds:.2} s");
    }
    format!("{text} ({})", size(object))
}

fn size(object: &Map<String, Value>) -> String {
    bytes(object.get("size_bytes").and_then(Value::as_u64).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_readable() {
        let png = json!({"media_type": "image/png", "width_px": 28, "height_px": 28, "size_bytes": 301});
        assert_eq!(line(&json!([png, png])), "[image/png 28x28 (301 B), image/png 28x28 (301 B)]");
        let wav = json!({"media_type": "audio/wav", "sampling_rate": 8000, "duration_secs": 0.298, "size_bytes": 4812});
        assert_eq!(line(&wav), "audio/wav 8000 Hz 0.30 s (4.8 kB)");
        assert_eq!(line(&json!({"class": 7, "name": "7"})), "7");
        assert_eq!(line(&json!({"class": 1, "name": "dog"})), "dog (class 1)");
        assert_eq!(line(&json!({"size_bytes": 2, "hex": "00ff"})), "00ff (2 B)");
        assert_eq!(line(&json!({"error": "is gone"})), "error is gone");
        assert_eq!(line(&json!("a\nb")), "a⏎b");
        assert_eq!(line(&json!("x".repeat(101))).len(), 104);
    }
}
