//! What to write instead: hints for habits of other formats and editors.

use serde_json::Number;

use super::{Content, Entry, Node};
use crate::source::SpannedString;

/// A space that YAML does not take for one.
pub(super) struct OddSpace {
    /// Its place, in bytes.
    pub(super) at: usize,
    /// Its length.
    pub(super) bytes: usize,
    /// What is wrong with it.
    pub(super) words: String,
}

/// Characters that look like a space or like nothing, and their names.
const ODD_SPACES: [(char, &str); 8] = [
    ('\u{a0}', "a no-break space"),
    ('\u{2002}', "an en space"),
    ('\u{2003}', "an em space"),
    ('\u{2009}', "a thin space"),
    ('\u{200b}', "a zero-width space"),
    ('\u{202f}', "a narrow no-break space"),
    ('\u{3000}', "an ideographic space"),
    ('\u{feff}', "a byte-order mark"),
];

/// The odd space that explains a syntax error: on the line of the error, or the last one before it.
pub(super) fn odd_space(text: &str, error_at: usize) -> Option<OddSpace> {
    let end = text.get(error_at..)?.find('\n').map_or(text.len(), |length| error_at + length);
    let found = text[..end].char_indices().rev().find_map(|(at, c)| {
        let (_, name) = ODD_SPACES.iter().find(|(odd, _)| *odd == c)?;
        // Inside of a value it is a part of the text.
        let line = text[..at].rfind('\n').map_or(0, |before| before + 1);
        let before = &text[line..at];
        let separates = before.trim().is_empty() || before.trim_end().ends_with([':', '-', ',', '{', '[']);
        separates.then_some((at, c, name))
    });
    let (at, c, name) = found?;
    let code = u32::from(c);
    let words = format!("{name} (U+{code:04X}) stands where YAML needs a plain space; replace it");
    Some(OddSpace { at, bytes: c.len_utf8(), words })
}

/// A decimal comma within braces, where it ends the value.
pub(super) struct DecimalComma {
    /// The place of what looks like one number, in bytes.
    pub(super) start: usize,
    /// Its end.
    pub(super) end: usize,
    /// What is wrong with it.
    pub(super) words: String,
}

/// The decimal comma in `{lr: 1,5}`: a key `5` without a value, right after the comma that ends the number before it.
pub(super) fn decimal_comma(
    before: Option<&Entry>,
    key: &SpannedString,
    value: &Node,
    text: &str,
) -> Option<DecimalComma> {
    let number = &before?.node;
    let fraction = &key.value;
    let is_one = matches!((&number.content, &value.content), (Content::Number(_), Content::Null))
        && text.get(number.span.end..key.span.start) == Some(",")
        && fraction.starts_with(|c: char| c.is_ascii_digit());
    let whole = text.get(number.span.start..number.span.end).filter(|_| is_one)?;
    let written = format!("{whole}.{fraction}");
    written.parse::<f64>().ok()?;
    let written = match ungrouped(&format!("{whole},{fraction}")) {
        Some(number) => format!("{number}, or {written} with a decimal point"),
        None => written,
    };
    let words = format!("a comma within braces ends the value `{whole}`; as a number write {written}");
    Some(DecimalComma { start: number.span.start, end: key.span.end, words })
}

/// The parser's words, with what to do.
pub(super) fn of_syntax(words: &str) -> String {
    if words.contains("merge key") {
        return "merge keys (`<<`) are not read; write the keys out".into();
    }
    words.to_string()
}

/// How a whole float is written as an integer.
pub(super) fn of_number(number: &Number) -> String {
    let whole = number.as_f64().filter(|value| number.is_f64() && value.fract() == 0.0 && value.abs() < 1e15);
    whole.map(|value| format!(" (as an integer: {})", value as i64)).unwrap_or_default()
}

/// The value of a binary number such as `0b11`.
pub(super) fn binary(text: &str) -> Option<i64> {
    let digits = text.trim_start_matches(['-', '+']);
    let value = i64::from_str_radix(digits.strip_prefix("0b").or_else(|| digits.strip_prefix("0B"))?, 2).ok()?;
    Some(if text.starts_with('-') { -value } else { value })
}

/// The number of a text with commas between groups of three digits.
fn ungrouped(text: &str) -> Option<String> {
    let mut groups = text.trim_start_matches(['-', '+']).split(',');
    let digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    let first = groups.next().filter(|first| (1..=3).contains(&first.len()) && !first.starts_with('0'))?;
    let rest: Vec<&str> = groups.collect();
    let fits = digits(first) && !rest.is_empty() && rest.iter().all(|group| group.len() == 3 && digits(group));
    fits.then(|| text.replace(',', ""))
}

/// How a string that means a number is written, where an integer or any number is expected.
pub(super) fn of_string(text: &str, is_integer: bool) -> String {
    if let Some(value) = binary(text) {
        return format!(" (as a number: {value})");
    }
    let is_number = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
            && text.parse::<f64>().is_ok_and(f64::is_finite)
    };
    let sign = if text.starts_with('-') { "-" } else { "" };
    let digits = text.trim_start_matches(['-', '+']);
    let leads_with_zero =
        digits.len() > 1 && digits.starts_with('0') && digits[1..].starts_with(|c: char| c.is_ascii_digit());
    if is_number(text) && leads_with_zero {
        let digits = digits.trim_start_matches('0');
        let zero = if digits.starts_with(|c: char| c.is_ascii_digit()) { "" } else { "0" };
        return format!(" (as a number: {sign}{zero}{digits})");
    }
    if is_number(text) {
        return " (a number has no quotation marks)".into();
    }
    let plain = Some(text.replace('_', ""));
    let point = Some(text.replacen(',', ".", 1)).filter(|_| text.matches(',').count() == 1);
    let number = |written: Option<String>| written.filter(|written| is_number(written));
    let choices = match (number(plain), ungrouped(text), number(point)) {
        (Some(plain), ..) => plain,
        (None, Some(whole), Some(point)) if !is_integer => format!("{whole}, or {point} with a decimal point"),
        (None, Some(whole), _) => whole,
        (None, None, Some(point)) if !is_integer => point,
        _ => return String::new(),
    };
    format!(" (as a number: {choices})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_that_mean_numbers_say_how_to_write_them() {
        for (text, hint) in [
            ("2000", " (a number has no quotation marks)"),
            ("1e-4", " (a number has no quotation marks)"),
            ("2_000", " (as a number: 2000)"),
            ("1,5", " (as a number: 1.5)"),
            ("02000", " (as a number: 2000)"),
            ("-007.5", " (as a number: -7.5)"),
            ("00.5", " (as a number: 0.5)"),
            ("0b11", " (as a number: 3)"),
            ("-0b100", " (as a number: -4)"),
            ("0b12", ""),
            ("1,000,000", " (as a number: 1000000)"),
            ("2,000", " (as a number: 2000, or 2.000 with a decimal point)"),
            ("0,125", " (as a number: 0.125)"),
            ("2k", ""),
            ("nan", ""),
            ("inf", ""),
            ("", ""),
            ("a_b", ""),
        ] {
            assert_eq!(of_string(text, false), hint, "{text}");
        }
        for (text, hint) in [("2,000", " (as a number: 2000)"), ("1,5", ""), ("2_000", " (as a number: 2000)")] {
            assert_eq!(of_string(text, true), hint, "{text}");
        }
        let number = |value: f64| of_number(&Number::from_f64(value).unwrap());
        assert_eq!((number(2e3).as_str(), number(0.5).as_str()), (" (as an integer: 2000)", ""));
        assert_eq!(of_number(&3.into()), "");
    }

    #[test]
    fn odd_spaces_are_found_where_they_separate() {
        let found = |text: &str, at: &str| odd_space(text, text.find(at).unwrap()).map(|odd| (odd.at, odd.words));
        let (at, words) = found("a:\n\u{a0} b: 1\n  c: 2\n", "c:").unwrap();
        assert!(at == 3 && words.starts_with("a no-break space (U+00A0)"), "{at} {words}");
        assert_eq!(found("name:\u{a0}q\nx: [\n", "name").unwrap().0, 5);
        assert!(found("name: a\u{a0}b\nx: [\n", "x").is_none());
        assert!(found("name: a\nx: [\n\u{a0}y: 1", "x").is_none());
    }
}
