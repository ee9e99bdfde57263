//! Output: results on standard output, everything else on standard error. Control characters in quoted text are
//! escaped.

use std::io::{self, IsTerminal, Write};

use anyflow_plan::style::{Style, painted};
use serde_json::Value;

use crate::escape;

/// How this process prints.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    /// Print only the final JSON.
    pub json: bool,
    /// Use colours on standard error.
    pub color: bool,
    /// Standard error is a terminal.
    pub terminal: bool,
    /// Print each event of the engine as a line of JSON on standard error.
    pub events: bool,
}

/// The result of a command.
#[derive(Clone, Debug, Default)]
pub struct CommandResult {
    /// Text for people.
    pub text: String,
    /// JSON for programs.
    pub json: Value,
    /// Exit code.
    pub code: u8,
}

impl CommandResult {
    /// The result of a command that succeeded.
    pub fn done(text: impl Into<String>, json: Value) -> Self {
        CommandResult { text: text.into(), json, code: 0 }
    }
}

impl Console {
    /// Settings of this process.
    pub fn new(json: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Console { json, color: terminal && wanted, terminal, events: false }
    }

    /// Prints the result of the command.
    ///
    /// # Errors
    /// It cannot be written. A reader that went away is no error.
    pub fn outcome(&self, outcome: &CommandResult) -> io::Result<()> {
        if self.json { self.json(&outcome.json) } else { out(&escape::message(&outcome.text, self.color)) }
    }

    /// Prints JSON in place of a result.
    ///
    /// # Errors
    /// As [`Console::outcome`].
    pub fn json(&self, value: &Value) -> io::Result<()> {
        out(&escape::json(&serde_json::to_string_pretty(value).unwrap_or_default()))
    }

    /// Prints a message that is not part of the result.
    pub fn note(&self, text: &str) {
        if !self.json {
            err(&escape::message(text, self.color));
        }
    }

    /// Prints a warning of one line: what it quotes cannot forge another.
    pub fn warn(&self, text: &str) {
        self.note(&format!("{}: {}", self.painted("warning", Style::Yellow), escape::line(text)));
    }

    /// A text in a style, if colours are on.
    pub fn painted(&self, text: &str, style: Style) -> String {
        if self.color { painted(text, style) } else { text.into() }
    }
}

/// A reader that went away (`anyflow plan | head`) is not an error.
fn out(text: &str) -> io::Result<()> {
    let text = text.trim_end_matches('\n');
    if text.is_empty() {
        return Ok(());
    }
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn err(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", text.trim_end_matches('\n'));
}
