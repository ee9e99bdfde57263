//! The engine's voice: events as JSON lines on standard output.

use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyflow_plan::event::{Checked, Event, Fault};
use serde_json::{Map, Value};

/// Writes events. Progress is thinned out; everything else is written at once.
pub struct Events {
    out: Mutex<Out>,
}

struct Out {
    to: Box<dyn Write + Send>,
    last_progress: Option<Instant>,
}

const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

impl Events {
    /// Events to standard output.
    pub fn to_stdout() -> Self {
        Self::to(Box::new(std::io::stdout()))
    }

    /// Events to any writer.
    pub fn to(to: Box<dyn Write + Send>) -> Self {
        Events { out: Mutex::new(Out { to, last_progress: None }) }
    }

    /// A part begins.
    pub fn begin(&self, part: &str, total: Option<u64>, unit: &str, done: u64) {
        self.write(&Event::Begin { part: part.into(), total, unit: unit.into(), done });
    }

    /// Work inside a part.
    pub fn progress(&self, part: &str, done: u64, figures: Map<String, Value>) {
        {
            let Ok(mut out) = self.out.lock() else { return };
            if out.last_progress.is_some_and(|last| last.elapsed() < PROGRESS_INTERVAL) {
                return;
            }
            out.last_progress = Some(Instant::now());
        }
        self.write(&Event::Progress { part: part.into(), done, figures });
    }

    /// A part is complete.
    pub fn end(&self, part: &str, figures: Map<String, Value>) {
        self.write(&Event::End { part: part.into(), figures });
    }

    /// Something a person should read.
    pub fn note(&self, text: impl Into<String>) {
        self.write(&Event::Note { text: text.into() });
    }

    /// The compute thread enters a node.
    pub fn enter(&self, node: &str, plugin: Option<&str>) {
        self.write(&Event::Enter { node: node.into(), plugin: plugin.map(String::from) });
    }

    /// A check of a plugin came to its end.
    pub fn checked(&self, check: Checked) {
        self.write(&Event::Checked(check));
    }

    /// The job failed.
    pub fn failed(&self, fault: Fault, text: impl Into<String>) {
        self.write(&Event::Failed { fault, text: text.into() });
    }

    /// The job is done.
    pub fn done(&self, result: Value) {
        self.write(&Event::Done { result });
    }

    /// A front that went away must not stop the work: a line that cannot be written is dropped.
    fn write(&self, event: &Event) {
        if let (Ok(mut out), Ok(line)) = (self.out.lock(), serde_json::to_string(event)) {
            let _ = writeln!(out.to, "{line}").and_then(|()| out.to.flush());
        }
    }
}

/// Figures of an event: `figures([("loss", 0.1.into())])`.
pub fn figures<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs.into_iter().map(|(k, v)| (k.to_string(), v)).collect()
}
