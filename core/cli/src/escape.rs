//! Escapes text for terminals: data, file names and plugins must not control them.

use std::borrow::Cow;

use anyflow_datasets::steers_terminal as steers;
pub use anyflow_datasets::{escape_json as json, escape_line as line};
use anyflow_plan::style::Style;

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
        for character in (0..0x20).chain(0x7f..0xa0).filter_map(char::from_u32) {
            let text = format!("a{character}b");
            let plain = matches!(character, '\n' | '\t');
            assert_eq!(message(&text, true) == text, plain, "{character:?}");
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
}
