//! Escapes text for terminals and logs: data, file names and arguments must not control them, nor forge lines.

use std::borrow::Cow;
use std::fmt::Write;

/// True if the character controls a terminal, or the order in which it shows letters.
pub fn steers_terminal(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Characters that mean nothing in any text; our programs mark styles with some of them.
fn is_noncharacter(character: char) -> bool {
    matches!(character, '\u{fdd0}'..='\u{fdef}')
}

/// Escapes text that may have several lines: control characters except line feeds and tabs become `\u{1b}`.
pub fn escape_text(text: &str) -> Cow<'_, str> {
    let odd = |character| steers_terminal(character) && !matches!(character, '\n' | '\t');
    replaced(text, odd, |character, out| out.extend(character.escape_unicode()))
}

/// Escapes text that must stay on one line, such as a cell, a name, or an error that quotes them: line feeds and tabs too.
pub fn escape_line(text: &str) -> Cow<'_, str> {
    let odd = |character| steers_terminal(character) || is_noncharacter(character);
    replaced(text, odd, |character, out| match character {
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        character => out.extend(character.escape_unicode()),
    })
}

/// Replaces control characters in JSON text by escapes. They occur only inside strings, where the escape has the same
/// meaning.
pub fn escape_json(text: &str) -> Cow<'_, str> {
    // `serde_json` puts line feeds between values.
    let odd = |character| steers_terminal(character) && character != '\n';
    replaced(text, odd, |character, out| {
        // All of them are in the basic plane, so four digits are enough.
        let _ = write!(out, "\\u{:04x}", u32::from(character));
    })
}

fn replaced(text: &str, odd: impl Fn(char) -> bool, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(&odd) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 32);
    for character in text.chars() {
        if odd(character) { escape(character, &mut out) } else { out.push(character) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}]0;owned\u{7}\u{1b}[2J\rb\u{9b}31m\u{7f}\u{202e}c\u{2066}\u{200f}";

    #[test]
    fn control_characters_are_shown_and_letters_stay() {
        let shown = r"a\u{1b}]0;owned\u{7}\u{1b}[2J\u{d}b\u{9b}31m\u{7f}\u{202e}c\u{2066}\u{200f}";
        assert_eq!(escape_text(HOSTILE), shown);
        assert_eq!(escape_text("ä 数 é 🙂\n\tx"), "ä 数 é 🙂\n\tx");
        assert_eq!(escape_line("ä\nb\tc\r\u{fdd2}"), r"ä\nb\tc\r\u{fdd2}");
        for character in (0..0x20).chain(0x7f..0xa0).filter_map(char::from_u32) {
            assert_ne!(escape_line(&format!("a{character}b")), format!("a{character}b"));
        }
    }

    #[test]
    fn json_stays_json_of_the_same_value() {
        let value = serde_json::json!({ HOSTILE: [HOSTILE, "ä\n"] });
        let text = serde_json::to_string_pretty(&value).unwrap();
        let escaped = escape_json(&text);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
        assert!(escaped.chars().all(|character| !steers_terminal(character) || character == '\n'));
    }
}
