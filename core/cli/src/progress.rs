//! Shows the engine's events: bars on a terminal, some lines elsewhere, JSON for a program that watches, nothing with `--json`.

mod bars;
mod lines;

use std::sync::Arc;
use std::time::Instant;

use anyflow_plan::event::{Checked, Event};
use serde_json::{Map, Value};

use crate::console::Console;
use crate::given::GivenQueue;
use bars::Bars;
use lines::Lines;

/// The speed of a part, without the units that an earlier run did.
struct Pace {
    before: u64,
    started: Instant,
}

impl Pace {
    fn new(before: u64) -> Self {
        Pace { before, started: Instant::now() }
    }

    /// Returns units per second, and the seconds left if the total is known.
    fn at(&self, done: u64, total: Option<u64>) -> (f64, Option<f64>) {
        let rate = done.saturating_sub(self.before) as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        let left = total.filter(|_| rate > 0.0).map(|total| total.saturating_sub(done) as f64 / rate);
        (rate, left)
    }

    /// `10.5 rows/s, 20 s left, loss 0.1`.
    fn words(&self, done: u64, total: Option<u64>, unit: &str, figures: &str) -> String {
        let (rate, left) = self.at(done, total);
        let left = left.map(|left| format!(", {} left", duration(left))).unwrap_or_default();
        let figures = if figures.is_empty() { String::new() } else { format!(", {figures}") };
        format!("{rate:.1} {unit}/s{left}{figures}")
    }

    fn elapsed(&self) -> String {
        duration(self.started.elapsed().as_secs_f64())
    }
}

/// The way in which events are shown.
pub enum Progress {
    /// On a terminal.
    Bars(Bars),
    /// In a file or pipe.
    Lines(Lines),
    /// Keeps the checks of a plugin as a result.
    Checks(Vec<Checked>),
    /// As lines of JSON on standard error, for a program that watches.
    Watched,
    /// As such lines, and to those who keep the shards that are given.
    Given(Arc<GivenQueue>),
    /// Not at all.
    Silent,
}

impl Progress {
    /// Chooses by the kind of the console.
    pub fn new(console: &Console) -> Self {
        match console {
            Console { events: true, .. } => Progress::Watched,
            Console { json: true, .. } => Progress::Silent,
            Console { terminal: true, .. } => Progress::Bars(Bars::new()),
            _ => Progress::Lines(Lines::to_stderr()),
        }
    }

    /// Lines that say which of several engines they are of.
    pub fn labelled(console: &Console, label: &str) -> Self {
        if console.json { Progress::Silent } else { Progress::Lines(Lines::to_stderr().of(label)) }
    }

    /// Shows nothing.
    pub fn silent() -> Self {
        Progress::Silent
    }

    /// Shows an event of the engine.
    pub fn event(&mut self, event: &Event) {
        match self {
            Progress::Bars(bars) => bars.event(event),
            Progress::Lines(lines) => lines.event(event),
            Progress::Watched => lines::json(event),
            Progress::Given(given) => {
                given.event(event);
                lines::json(event);
            }
            Progress::Checks(checks) => {
                if let Event::Checked(check) = event {
                    checks.push(check.clone());
                }
            }
            Progress::Silent => {}
        }
    }

    /// Shows a line of the engine's log. Returns false if it was not shown.
    pub fn log(&mut self, line: &str) -> bool {
        match self {
            Progress::Bars(bars) => bars.print(line),
            Progress::Lines(lines) => lines.print(line),
            Progress::Checks(_) | Progress::Watched | Progress::Given(_) | Progress::Silent => return false,
        }
        true
    }

    /// Removes unfinished bars.
    pub fn clear(&mut self) {
        if let Progress::Bars(bars) = self {
            bars.clear();
        }
    }
}

/// `loss 0.0123, rows 12`: the figures shown next to a count and a time.
fn figures(figures: &Map<String, Value>) -> String {
    let shown = figures
        .iter()
        .filter(|(name, _)| *name != "seconds")
        .filter_map(|(name, value)| Some(format!("{} {}", words(name), figure(value)?)));
    shown.collect::<Vec<_>>().join(", ")
}

/// Turns names from JSON into words: `rows_per_second` becomes `rows per second`.
pub fn words(name: &str) -> String {
    name.replace(['_', '-'], " ")
}

/// A number with four significant digits, or a short text; `None` for lists and objects.
pub fn figure(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(match number.as_f64() {
            Some(real) if number.is_f64() => significant(real),
            _ => number.to_string(),
        }),
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A number with four significant digits, without trailing zeros.
pub fn significant(real: f64) -> String {
    if real == 0.0 || !real.is_finite() {
        return format!("{real}");
    }
    let magnitude = real.abs().log10().floor() as i32;
    if !(-4..=6).contains(&magnitude) {
        return format!("{real:.3e}");
    }
    let text = format!("{real:.*}", usize::try_from(3 - magnitude).unwrap_or(0));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

/// `90 s`, `12 min`, `3.5 h`.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_does_not_count_units_of_an_earlier_run() {
        let started = Instant::now().checked_sub(std::time::Duration::from_secs(10)).unwrap();
        let pace = Pace { before: 100, started };
        assert_eq!(pace.words(200, Some(400), "rows", "failed 1"), "10.0 rows/s, 20 s left, failed 1");
        assert_eq!(pace.words(100, None, "rows", ""), "0.0 rows/s");
    }

    #[test]
    fn numbers_are_short() {
        let shown: Vec<_> = [0.0, 0.012345, 1.0, 12.5, 81234.6, 1.5e9, -2.5e-7].map(significant).into();
        assert_eq!(shown, ["0", "0.01235", "1", "12.5", "81235", "1.500e9", "-2.500e-7"]);
        assert_eq!([0.25, 75.4, 600.0, 9000.0].map(duration), ["0.2 s", "75 s", "10 min", "2.5 h"]);
    }
}
