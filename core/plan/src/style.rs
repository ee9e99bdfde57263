//! Colours of messages, as characters that stand for nothing else. Whoever prints a message escapes every control
//! character in it, and puts the terminal's own sequences in place of these characters alone. So text from files, data and
//! plugins can never steer a terminal, wherever it gets into a message.

/// Columns of a table are made as wide as their widest cell, up to so many characters: a longer cell stands over, and
/// `format!` refuses a width above 65,535.
pub const WIDEST_COLUMN: usize = 500;

/// How a part of a message appears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As the text around it.
    Plain,
    /// Bold.
    Bold,
    /// Errors.
    Red,
    /// Warnings.
    Yellow,
    /// What marks a place.
    Blue,
    /// What is good.
    Green,
}

impl Style {
    const ALL: [Style; 6] = [Style::Plain, Style::Bold, Style::Red, Style::Yellow, Style::Blue, Style::Green];

    /// The character that begins it: one of Unicode's noncharacters, which no text has.
    pub fn mark(self) -> char {
        char::from_u32(0xFDD0 + self as u32).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    /// The style that a character begins.
    pub fn of_mark(mark: char) -> Option<Style> {
        Style::ALL.into_iter().find(|style| style.mark() == mark)
    }

    /// What begins it on a terminal.
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

/// A text in a style, with the marks.
pub fn painted(text: &str, style: Style) -> String {
    format!("{}{text}{}", style.mark(), Style::Plain.mark())
}
