//! Progress bars with rate and time left, one per part.

use std::io::Write;

use anyflow_plan::event::Event;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{Pace, figures};
use crate::escape;

/// Redraw interval of a bar.
const TICK: std::time::Duration = std::time::Duration::from_millis(200);

/// Draws bars on standard error.
pub struct Bars {
    all: MultiProgress,
    open: Vec<Open>,
}

/// The bar of a part in progress.
struct Open {
    part: String,
    unit: String,
    bar: ProgressBar,
    pace: Pace,
}

impl Bars {
    /// No bars.
    pub fn new() -> Self {
        Bars { all: MultiProgress::new(), open: Vec::new() }
    }

    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::Begin { part, total, unit, done } => self.begin(part, *total, unit, *done),
            Event::Progress { part, done, figures: shown } => {
                if let Some(Open { unit, bar, pace, .. }) = self.open.iter().find(|open| open.part == *part) {
                    bar.set_position(*done);
                    let words = pace.words(*done, bar.length(), unit, &figures(shown));
                    bar.set_message(escape::line(&words).into_owned());
                }
            }
            Event::End { part, figures: shown } => self.end(part, &figures(shown)),
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

    /// Prints a line above the bars. Ignores write errors, so that a reader that went away does not stop the work.
    pub(super) fn print(&self, text: &str) {
        self.all.suspend(|| drop(writeln!(std::io::stderr(), "{}", escape::message(text, false))));
    }

    pub(super) fn clear(&mut self) {
        self.open.drain(..).for_each(|open| open.bar.finish_and_clear());
    }

    fn begin(&mut self, part: &str, total: Option<u64>, unit: &str, done: u64) {
        let bar = match total {
            Some(total) => ProgressBar::new(total).with_style(style(&format!(
                "{{prefix:>14.bold}} [{{bar:32.cyan}}] {{human_pos}}/{{human_len}} {}  {{msg:.dim}}",
                escape::line(unit)
            ))),
            None => {
                ProgressBar::no_length().with_style(style("{prefix:>14.bold} {spinner:.cyan} {elapsed}  {msg:.dim}"))
            }
        };
        let bar = self.all.add(bar.with_prefix(escape::line(part).into_owned()).with_position(done));
        bar.enable_steady_tick(TICK);
        self.open.push(Open { part: part.into(), unit: unit.into(), bar, pace: Pace::new(done) });
    }

    fn end(&mut self, part: &str, figures: &str) {
        let at = self.open.iter().position(|open| open.part == part);
        let elapsed = at.map(|at| self.open.remove(at)).map(|open| {
            open.bar.finish_and_clear();
            self.all.remove(&open.bar);
            open.pace.elapsed()
        });
        let figures = Some(figures.to_string()).filter(|figures| !figures.is_empty());
        let shown: Vec<String> = elapsed.into_iter().chain(figures).collect();
        self.print(&format!("{part:>14} {}", shown.join(", ")));
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ")
}
