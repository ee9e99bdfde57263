//! The engine's voice: events as frames.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyflow_plan::event::{Checked, Event, Fault};
use anyflow_plan::frame::{FrameError, LONGEST_EVENT, Writer};
use serde_json::{Map, Value};

/// Writes events. Progress is thinned out; everything else is written at once.
pub struct Events {
    out: Mutex<Out>,
    /// What ends the process when nobody listens any more.
    end: fn() -> !,
}

struct Out {
    frames: Writer<Box<dyn Write + Send>>,
    last_progress: Option<Instant>,
}

const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// Bytes of a sentence at most.
const LONGEST_TEXT: usize = 1 << 16;

impl Events {
    /// Events to a stream; `end` ends the process when they cannot be written. Work whose end nobody hears of is not done:
    /// the same command does it again, or finds it committed.
    pub fn new(to: impl Write + Send + 'static, end: fn() -> !) -> Self {
        let frames = Writer::new(Box::new(to) as Box<dyn Write + Send>, LONGEST_EVENT);
        Events { out: Mutex::new(Out { frames, last_progress: None }), end }
    }

    /// A part begins.
    pub fn begin(&self, part: &str, total: Option<u64>, unit: &str, done: u64) {
        self.write(&Event::Begin { part: part.into(), total, unit: unit.into(), done });
    }

    /// Work inside a part.
    pub fn progress(&self, part: &str, done: u64, figures: Map<String, Value>) {
        {
            let mut out = self.out();
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
        self.write(&Event::Note { text: cut(text.into()) });
    }

    /// The compute thread enters a node.
    pub fn enter(&self, node: &str, plugin: Option<&str>) {
        self.write(&Event::Enter { node: node.into(), plugin: plugin.map(String::from) });
    }

    /// A check of a plugin came to its end.
    pub fn checked(&self, check: Checked) {
        self.write(&Event::Checked(Checked { text: cut(check.text), ..check }));
    }

    /// The job failed.
    pub fn failed(&self, fault: Fault, text: impl Into<String>) {
        self.write(&Event::Failed { fault, text: cut(text.into()) });
    }

    /// The job is done.
    pub fn done(&self, result: Value) {
        self.write(&Event::Done { result });
    }

    fn write(&self, event: &Event) {
        let mut out = self.out();
        let written = match out.frames.write(event) {
            // What is too long to be told is said to be so: a result that is not told is a failure.
            Err(error @ FrameError::Long { .. }) => {
                let text = format!("what the engine wants to tell is too long: {error}");
                out.frames.write(&match event {
                    Event::Done { .. } => Event::Failed { fault: Fault::Internal, text },
                    _ => Event::Note { text },
                })
            }
            written => written,
        };
        if let Err(error) = written {
            tracing::error!("the engine ends, since nobody listens to it any more: {error}");
            (self.end)();
        }
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A sentence that is not too long.
fn cut(mut text: String) -> String {
    if text.len() > LONGEST_TEXT {
        text.truncate(text.floor_char_boundary(LONGEST_TEXT));
        text.push_str(" ...");
    }
    text
}

/// Figures of an event: `figures([("loss", 0.1.into())])`.
pub fn figures<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs.into_iter().map(|(k, v)| (k.to_string(), v)).collect()
}
