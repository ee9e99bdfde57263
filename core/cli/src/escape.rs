//! Escapes text for terminals: data, file names and plugins must not control them.

use std::borrow::Cow;
use std::fmt::Write;

use anyflow_plan::style::Style;

/// True if the character controls a terminal, or the order in which it shows letters.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Escapes a message: control characters except line feeds and tabs become `\u{1b}`; style marks become colours, or
/// nothing if `color` is off. All printed text passes through here.
pub fn message(text: &str, color: bool) -> Cow<'_, str> {
    let style = |character| Style::of_mark(character).filter(|_| color);
    let odd = |character| (steers(character) && !matches!(character, '\n' | '\t')) || is_mark(character);
    if !text.contains(odd) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 32);
    let mut last = Style::Plain;
    for character in text.chars() {
        match style(character) {
            Some(style) => {
                out.push_str(style.ansi());
                last = style;
            }
            None if odd(character) => escape(character, &mut out),
            None => out.push(character),
        }
    }
    if last != Style::Plain {
        out.push_str(Style::Plain.ansi());
    }
    Cow::Owned(out)
}

/// Escapes text that must stay on one line, such as a cell, a name or the message of a progress bar. Also escapes line
/// feeds and tabs, and ignores style marks.
pub fn line(text: &str) -> Cow<'_, str> {
    let odd = |character| steers(character) || is_mark(character);
    if !text.contains(odd) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 32);
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            character if odd(character) => escape(character, &mut out),
            character => out.push(character),
        }
    }
    Cow::Owned(out)
}

/// Replaces control characters in JSON text by escapes. They occur only inside strings, where the escape has the same
/// meaning.
pub fn json(text: &str) -> Cow<'_, str> {
    // `serde_json` puts line feeds between values.
    let odd = |character| steers(character) && character != '\n';
    if !text.contains(odd) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 32);
    for character in text.chars() {
        if odd(character) {
            // All of them are in the basic plane, so four digits are enough.
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

fn is_mark(character: char) -> bool {
    Style::of_mark(character).is_some()
}

fn escape(character: char, out: &mut String) {
    out.extend(character.escape_unicode());
}

#[cfg(test)]
mod tests {
    use anyflow_plan::style::painted;

    use super::*;

    const HOSTILE: &str = "a\u{1b}]0;owned\u{7}\u{1b}[2J\rb\u{9b}31m\u{7f}\u{202e}c\u{2066}\u{200f}";
    const SHOWN: &str = r"a\u{1b}]0;owned\u{7}\u{1b}[2J\u{d}b\u{9b}31m\u{7f}\u{202e}c\u{2066}\u{200f}";

    #[test]
    fn control_characters_are_shown_and_letters_stay() {
        assert_eq!(message(HOSTILE, true), SHOWN);
        assert_eq!(message(HOSTILE, false), SHOWN);
        assert_eq!(message("ä 数 é 🙂\n\tx", true), "ä 数 é 🙂\n\tx");
        assert_eq!(line("a\nb\tc\r"), r"a\nb\tc\r");
        for character in (0..0x20).chain(0x7f..0xa0).filter_map(char::from_u32) {
            let text = format!("a{character}b");
            let plain = matches!(character, '\n' | '\t');
            assert_eq!(message(&text, true) == text, plain, "{character:?}");
            assert_ne!(line(&text), text.as_str());
        }
    }

    #[test]
    fn own_styles_stay_and_styles_in_data_are_escaped() {
        let text = format!("{}: \u{1b}[31mx", painted("error", Style::Red));
        assert_eq!(message(&text, true), "\u{1b}[1;31merror\u{1b}[0m: \\u{1b}[31mx");
        assert_eq!(message(&Style::Red.mark().to_string(), false), r"\u{fdd2}");
        assert!(message(&format!("{}x", Style::Red.mark()), true).ends_with(Style::Plain.ansi()));
        assert_eq!(line(&Style::Red.mark().to_string()), r"\u{fdd2}");
    }

    #[test]
    fn json_stays_json_of_the_same_value() {
        let value = serde_json::json!({ HOSTILE: [HOSTILE, "ä\n"] });
        let text = serde_json::to_string_pretty(&value).unwrap();
        let escaped = json(&text);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
        assert!(escaped.chars().all(|character| !steers(character) || character == '\n'));
    }
}
