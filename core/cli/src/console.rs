//! What the program says: results on standard output, everything else on standard error. Nothing that it says steers a
//! terminal, whatever it quotes.

use std::io::{IsTerminal, Write};

use anyflow_plan::style::{Style, painted};
use serde_json::Value;

use crate::escape;

/// How a call of the program talks.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    /// Only the final JSON.
    pub json: bool,
    /// Colours on standard error.
    pub color: bool,
    /// Standard error is a terminal.
    pub terminal: bool,
}

/// What a command that came to its end has to say.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// For people.
    pub text: String,
    /// For programs.
    pub json: Value,
    /// Exit code.
    pub code: u8,
}

impl Outcome {
    /// A command that did what it was asked.
    pub fn done(text: impl Into<String>, json: Value) -> Self {
        Outcome { text: text.into(), json, code: 0 }
    }
}

impl Console {
    /// For this process.
    pub fn new(json: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Console { json, color: terminal && wanted, terminal }
    }

    /// The result of the command.
    pub fn outcome(&self, outcome: &Outcome) {
        if self.json { self.json(&outcome.json) } else { out(&escape::message(&outcome.text, self.color)) }
    }

    /// JSON instead of a result.
    pub fn json(&self, value: &Value) {
        out(&escape::json(&serde_json::to_string_pretty(value).unwrap_or_default()));
    }

    /// A line for people, not part of the result.
    pub fn note(&self, text: &str) {
        if !self.json {
            err(&escape::message(text, self.color));
        }
    }

    /// Something odd, already rendered or in one line.
    pub fn warn(&self, text: &str) {
        self.note(&format!("{}: {text}", self.painted("warning", Style::Yellow)));
    }

    /// A text in a style, where there are colours.
    pub fn painted(&self, text: &str, style: Style) -> String {
        if self.color { painted(text, style) } else { text.into() }
    }
}

/// A reader that went away (`anyflow plan | head`) is no error.
fn out(text: &str) {
    let text = text.trim_end_matches('\n');
    if !text.is_empty() {
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }
}

fn err(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end_matches('\n'));
}
