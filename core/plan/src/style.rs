//! Styles in messages, marked by Unicode noncharacters. The console escapes every control character of a message and turns
//! only these marks into terminal sequences, so text from files, data and plugins can never control a terminal.

/// Maximum width of a table column, in characters; longer cells stick out. `format!` refuses a width above 65,535.
pub const WIDEST_COLUMN: usize = 500;

/// The style of a part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Plain text.
    Plain,
    /// Bold.
    Bold,
    /// Errors.
    Red,
    /// Warnings.
    Yellow,
    /// Marks of positions.
    Blue,
    /// Success.
    Green,
}

impl Style {
    const ALL: [Style; 6] = [Style::Plain, Style::Bold, Style::Red, Style::Yellow, Style::Blue, Style::Green];

    /// The noncharacter that starts the style.
    pub fn mark(self) -> char {
        char::from_u32(0xFDD0 + self as u32).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    /// The style that a character starts.
    pub fn of_mark(mark: char) -> Option<Style> {
        Style::ALL.into_iter().find(|style| style.mark() == mark)
    }

    /// The terminal sequence that starts it.
    pub fn ansi(self) -> &'static str {
        match self {
            Style::Plain => "\x1b[0m",
            Style::Bold => "\x1b[1m",
            Style::Red => "\x1b[1;31m",
            Style::Yellow => "\x1b[1;33m",
            Style::Blue => "\x1b[1;34m",
            Style::Green => "\x1b[32m",
        }
    }
}

/// A text with the marks of a style.
pub fn painted(text: &str, style: Style) -> String {
    format!("{}{text}{}", style.mark(), Style::Plain.mark())
}
