//! A line at the start and end of a part, and now and then between: for logs.

use std::io::Write;
use std::time::{Duration, Instant};

use anyflow_plan::event::Event;

use super::{duration, figures};

/// The first line comes soon, so that one sees that it works; then the interval grows to this.
const LONGEST_INTERVAL: Duration = Duration::from_secs(30);
const FIRST_INTERVAL: Duration = Duration::from_secs(2);

/// Writes lines.
pub struct Lines {
    to: Box<dyn Write>,
    parts: Vec<Part>,
}

struct Part {
    name: String,
    total: Option<u64>,
    unit: String,
    /// Units that an earlier run did.
    before: u64,
    begun: Instant,
    last: Instant,
    interval: Duration,
}

impl Lines {
    /// Lines on standard error.
    pub fn to_stderr() -> Self {
        Lines { to: Box::new(std::io::stderr()), parts: Vec::new() }
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
                let begun = self.part(part).map(|part| part.begun);
                self.parts.retain(|open| open.name != *part);
                let elapsed = begun.map(|begun| format!(" in {}", duration(begun.elapsed().as_secs_f64())));
                let shown = figures(shown);
                let shown = if shown.is_empty() { shown } else { format!(": {shown}") };
                self.print(&format!("{part}: done{}{shown}", elapsed.unwrap_or_default()));
            }
            Event::Note { text } => self.print(text),
            Event::Enter { .. } | Event::Failed { .. } | Event::Done { .. } => {}
        }
    }

    /// A reader that went away does not stop the work.
    pub(super) fn print(&mut self, line: &str) {
        let _ = writeln!(self.to, "{line}");
    }

    fn part(&mut self, name: &str) -> Option<&mut Part> {
        self.parts.iter_mut().find(|part| part.name == name)
    }

    fn begin(&mut self, part: &str, total: Option<u64>, unit: &str, done: u64) {
        let now = Instant::now();
        let count = total.map(|total| format!(": {total} {unit}")).unwrap_or_default();
        let earlier = if done > 0 { format!(", {done} done earlier") } else { String::new() };
        self.print(&format!("{part}{count}{earlier}"));
        let (name, unit) = (part.to_string(), unit.to_string());
        self.parts.push(Part { name, total, unit, before: done, begun: now, last: now, interval: FIRST_INTERVAL });
    }
}

impl Part {
    fn line(&mut self, done: u64, figures: &str) -> String {
        self.last = Instant::now();
        self.interval = (self.interval * 2).min(LONGEST_INTERVAL);
        let rate = done.saturating_sub(self.before) as f64 / self.begun.elapsed().as_secs_f64().max(1e-9);
        let (total, left) = match self.total {
            Some(total) if rate > 0.0 => {
                let left = duration(total.saturating_sub(done) as f64 / rate);
                (format!("/{total} ({:.0} %)", 100.0 * done as f64 / total.max(1) as f64), format!(", {left} left"))
            }
            Some(total) => (format!("/{total}"), String::new()),
            None => Default::default(),
        };
        let figures = if figures.is_empty() { String::new() } else { format!(", {figures}") };
        format!("{}: {done}{total} {unit}, {rate:.1} {unit}/s{left}{figures}", self.name, unit = self.unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_time_left_do_not_count_what_was_done_earlier() {
        let now = Instant::now();
        let begun = now.checked_sub(Duration::from_secs(10)).unwrap();
        let (name, unit) = ("rows".to_string(), "rows".to_string());
        let mut part = Part { name, total: Some(400), unit, before: 100, begun, last: now, interval: FIRST_INTERVAL };
        let line = part.line(200, "failed 1");
        assert!(line.starts_with("rows: 200/400 (50 %) rows, 10.0 rows/s, 20 s left, failed 1"), "{line}");
        assert_eq!(part.interval, FIRST_INTERVAL * 2);
    }
}
