//! Values in YAML, on one line or broken where they are long.

use serde_json::{Number, Value};

/// The longest line.
const WIDTH: usize = 120;

/// `KEY: VALUE` at an indentation, broken behind commas between the parts of its value.
pub(super) fn line(indent: usize, key: &str, value: &Value) -> String {
    let head = format!("{:indent$}{}: ", "", text(key));
    let whole = format!("{head}{}", flow(value));
    let (open, parts, close) = match value {
        Value::Object(fields) if whole.len() > WIDTH => ("{", fields.iter().map(pair).collect::<Vec<_>>(), "}"),
        Value::Array(items) if whole.len() > WIDTH => ("[", items.iter().map(flow).collect(), "]"),
        _ => return whole + "\n",
    };
    let margin = head.len() + 1;
    let mut lines = format!("{head}{open}");
    let mut used = margin;
    for (index, part) in parts.iter().enumerate() {
        let end = if index + 1 == parts.len() { close } else { "," };
        if index > 0 && used + 1 + part.len() + end.len() > WIDTH {
            lines += &format!("\n{:margin$}", "");
            used = margin;
        } else if index > 0 {
            lines.push(' ');
            used += 1;
        }
        lines += part;
        lines += end;
        used += part.len() + end.len();
    }
    lines + "\n"
}

fn pair((key, value): (&String, &Value)) -> String {
    format!("{}: {}", text(key), flow(value))
}

fn flow(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(value) => number(value),
        Value::String(value) => text(value),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => format!("{{{}}}", fields.iter().map(pair).collect::<Vec<_>>().join(", ")),
    }
}

/// Without an exponent, which YAML 1.1 takes for text.
fn number(number: &Number) -> String {
    match (number.is_f64(), number.as_f64()) {
        (true, Some(value)) if value.fract() == 0.0 && value.abs() < 1e15 => format!("{value:.1}"),
        (true, Some(value)) => value.to_string(),
        _ => number.to_string(),
    }
}

/// Plain if nothing in it means something else; otherwise quoted as in JSON.
fn text(value: &str) -> String {
    let is_word = value.starts_with(|c: char| c.is_ascii_alphabetic() || "/.".contains(c))
        && value.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    let is_other = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "inf", "nan"]
        .contains(&value.to_ascii_lowercase().trim_start_matches('.'));
    // `.5` is a number.
    let is_number = value.starts_with('.') && value[1..].starts_with(|c: char| c.is_ascii_digit());
    if is_word && !is_other && !is_number { value.to_string() } else { Value::from(value).to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_plain_where_yaml_reads_them_as_they_are() {
        for (value, wanted) in [
            (json!("sd15/vae"), "sd15/vae"),
            (json!("../a"), "../a"),
            (json!("image/rgb"), "image/rgb"),
            (json!(""), "\"\""),
            (json!("no"), "\"no\""),
            (json!("1e3"), "\"1e3\""),
            (json!("my folder"), "\"my folder\""),
            (json!("a: b"), "\"a: b\""),
            (json!(".5"), "\".5\""),
            (json!(0.00001), "0.00001"),
            (json!(1.0), "1.0"),
            (json!(0.18215), "0.18215"),
            (json!([true, {"k": [1, 2]}]), "[true, {k: [1, 2]}]"),
        ] {
            assert_eq!(flow(&value), wanted);
        }
    }

    #[test]
    fn a_long_line_is_broken_behind_a_comma() {
        let value = json!({"use": "a/b", "first": vec![1_000_000; 8], "second": vec![1_000_000; 8]});
        let lines = line(4, "module", &value);
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with(',') && lines[1].starts_with("             second"));
    }
}
