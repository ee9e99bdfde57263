//! Progress as lines for logs: at the start and end of a part, and at intervals between.

use std::io::Write;
use std::time::{Duration, Instant};

use anyflow_plan::event::Event;

use super::{Pace, figures};
use crate::escape;

/// The first line comes soon, as a sign of life; then the interval doubles up to this.
const LONGEST_INTERVAL: Duration = Duration::from_secs(30);
const FIRST_INTERVAL: Duration = Duration::from_secs(2);

/// Writes progress lines.
pub struct Lines {
    to: Box<dyn Write>,
    parts: Vec<Part>,
    /// Begins each line.
    label: String,
}

struct Part {
    name: String,
    total: Option<u64>,
    unit: String,
    pace: Pace,
    last: Instant,
    interval: Duration,
}

/// Writes an event as one line of JSON to standard error. Ignores write errors, as lines for people do.
pub(super) fn json(event: &Event) {
    if let Ok(line) = serde_json::to_string(event) {
        let _ = writeln!(std::io::stderr().lock(), "{}", escape::json(&line));
    }
}

impl Lines {
    /// Writes to standard error.
    pub fn to_stderr() -> Self {
        Lines { to: Box::new(std::io::stderr()), parts: Vec::new(), label: String::new() }
    }

    /// The lines of one of several engines.
    pub(super) fn of(self, label: &str) -> Self {
        Lines { label: format!("{label}: "), ..self }
    }

    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::Begin { part, total, unit, done } => self.begin(part, *total, unit, *done),
            Event::Progress { part, done, figures: shown } => {
                let due = self.part(part).filter(|part| part.last.elapsed() >= part.interval);
                if let Some(line) = due.map(|part| part.line(*done, &figures(shown))) {
                    self.print(&line);
                }
            }
            Event::End { part, figures: shown } => {
                let elapsed = self.part(part).map(|part| format!(" in {}", part.pace.elapsed()));
                self.parts.retain(|open| open.name != *part);
                let shown = figures(shown);
                let shown = if shown.is_empty() { shown } else { format!(": {shown}") };
                self.print(&format!("{part}: done{}{shown}", elapsed.unwrap_or_default()));
            }
            Event::Note { text } => self.print(&escape::line(text)),
            Event::Enter { .. }
            | Event::Step { .. }
            | Event::Preview { .. }
            | Event::Rows { .. }
            | Event::Shard { .. }
            | Event::Checked(_)
            | Event::Failed { .. }
            | Event::Done { .. } => {}
        }
    }

    /// Ignores write errors, so that a reader that went away does not stop the work.
    pub(super) fn print(&mut self, text: &str) {
        let _ = writeln!(self.to, "{}{}", self.label, escape::message(text, false));
    }

    fn part(&mut self, name: &str) -> Option<&mut Part> {
        self.parts.iter_mut().find(|part| part.name == name)
    }

    fn begin(&mut self, part: &str, total: Option<u64>, unit: &str, done: u64) {
        let count = total.map(|total| format!(": {total} {unit}")).unwrap_or_default();
        let earlier = if done > 0 { format!(", {done} done earlier") } else { String::new() };
        self.print(&format!("{part}{count}{earlier}"));
        let name = part.to_string();
        let unit = unit.to_string();
        let pace = Pace::new(done);
        let last = Instant::now();
        self.parts.push(Part { name, total, unit, pace, last, interval: FIRST_INTERVAL });
    }
}

impl Part {
    fn line(&mut self, done: u64, figures: &str) -> String {
        self.last = Instant::now();
        self.interval = (self.interval * 2).min(LONGEST_INTERVAL);
        let total = match self.total {
            Some(total) => format!("/{total} ({:.0} %)", 100.0 * done as f64 / total.max(1) as f64),
            None => String::new(),
        };
        let pace = self.pace.words(done, self.total, &self.unit, figures);
        format!("{}: {done}{total} {}, {pace}", self.name, self.unit)
    }
}
