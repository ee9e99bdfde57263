//! Bars with rate and time left, one per part.

use anyflow_plan::event::Event;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::figures;

/// Draws on standard error.
pub struct Bars {
    all: MultiProgress,
    open: Vec<(String, ProgressBar)>,
}

impl Bars {
    /// No bar yet.
    pub fn new() -> Self {
        Bars { all: MultiProgress::new(), open: Vec::new() }
    }

    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::Begin { part, total, unit, done } => self.begin(part, *total, unit, *done),
            Event::Progress { part, done, figures: shown } => {
                if let Some(bar) = self.bar(part) {
                    bar.set_position(*done);
                    bar.set_message(figures(shown));
                }
            }
            Event::End { part, figures: shown } => self.end(part, &figures(shown)),
            Event::Note { text } => self.print(text),
            Event::Enter { .. } | Event::Failed { .. } | Event::Done { .. } => {}
        }
    }

    pub(super) fn print(&self, line: &str) {
        self.all.suspend(|| eprintln!("{line}"));
    }

    pub(super) fn clear(&mut self) {
        self.open.drain(..).for_each(|(_, bar)| bar.finish_and_clear());
    }

    fn bar(&self, part: &str) -> Option<&ProgressBar> {
        self.open.iter().find(|(name, _)| name == part).map(|(_, bar)| bar)
    }

    fn begin(&mut self, part: &str, total: Option<u64>, unit: &str, done: u64) {
        let bar = match total {
            Some(total) => ProgressBar::new(total).with_style(style(&format!(
                "{{prefix:>14.bold}} [{{bar:32.cyan}}] {{human_pos}}/{{human_len}} {unit}  {{per_sec}}  {{eta}} left  {{msg:.dim}}"
            ))),
            None => ProgressBar::no_length().with_style(style("{prefix:>14.bold} {spinner:.cyan} {elapsed}  {msg:.dim}")),
        };
        let bar = self.all.add(bar.with_prefix(part.to_string()));
        bar.set_position(done);
        // What an earlier run did must not count as this run's speed.
        bar.reset_eta();
        bar.enable_steady_tick(std::time::Duration::from_millis(200));
        self.open.push((part.to_string(), bar));
    }

    fn end(&mut self, part: &str, figures: &str) {
        let Some(at) = self.open.iter().position(|(name, _)| name == part) else { return };
        let (_, bar) = self.open.remove(at);
        let elapsed = super::duration(bar.elapsed().as_secs_f64());
        bar.finish_and_clear();
        self.all.remove(&bar);
        let figures = if figures.is_empty() { elapsed } else { figures.to_string() };
        self.print(&format!("{part:>14} {figures}"));
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ")
}
