//! Sends the engine's events to the front, as frames.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyflow_plan::event::{Checked, Event, Fault};
use anyflow_plan::frame::{FrameError, FrameWriter, LONGEST_EVENT};
use serde_json::{Map, Value};

/// The writer of events. It drops most progress events and writes all others at once.
pub struct Events {
    out: Mutex<Out>,
    /// Called if an event cannot be written.
    lost: Box<dyn Fn() + Send + Sync>,
}

struct Out {
    frames: FrameWriter<Box<dyn Write + Send>>,
    last_progress: Option<Instant>,
}

const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// Maximum bytes of a text.
const LONGEST_TEXT: usize = 1 << 16;

impl Events {
    /// Writes events to a stream. `lost` must end the process or the call; it runs if an event cannot be written. Without a
    /// reader, going on would be useless: the same command repeats the work, or finds it committed.
    pub fn new(to: impl Write + Send + 'static, lost: impl Fn() + Send + Sync + 'static) -> Self {
        let frames = FrameWriter::new(Box::new(to) as Box<dyn Write + Send>, LONGEST_EVENT);
        Events { out: Mutex::new(Out { frames, last_progress: None }), lost: Box::new(lost) }
    }

    /// Tells nobody.
    pub fn muted() -> Self {
        Events::new(std::io::sink(), || {})
    }

    /// A part starts.
    pub fn begin(&self, part: &str, total: Option<u64>, unit: &str, done: u64) {
        self.write(&Event::Begin { part: part.into(), total, unit: unit.into(), done });
    }

    /// Progress inside a part.
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

    /// A note for the user.
    pub fn note(&self, text: impl Into<String>) {
        self.write(&Event::Note { text: cut(text.into()) });
    }

    /// The compute thread enters a node.
    pub fn enter(&self, node: &str, plugin: Option<&str>) {
        self.write(&Event::Enter { node: node.into(), plugin: plugin.map(String::from) });
    }

    /// Rows have had a network call; see [`Event::Step`].
    pub fn step(&self, step: Event) {
        self.write(&step);
    }

    /// Rows, whose event says how many bytes they are.
    pub fn rows(&self, event: &Event, rows: &[u8]) {
        self.write_with(event, rows);
    }

    /// A shard that the front gave is committed, with so many good and failed rows.
    pub fn shard(&self, shard: u64, (rows, failed): (u64, u64)) {
        self.write(&Event::Shard { shard, rows, failed });
    }

    /// A check of a plugin has ended.
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
        self.write_with(event, &[]);
    }

    fn write_with(&self, event: &Event, attached: &[u8]) {
        let mut out = self.out();
        let written = match out.frames.write(event) {
            // A result that cannot be sent is a failure; any other event is replaced by a note.
            Err(error @ FrameError::Long { .. }) => {
                let text = format!("an event of the engine is too long to be sent: {error}");
                out.frames.write(&match event {
                    Event::Done { .. } => Event::Failed { fault: Fault::Internal, text },
                    _ => Event::Note { text },
                })
            }
            Ok(()) if !attached.is_empty() => out.frames.attach(attached),
            written => written,
        };
        if let Err(error) = written {
            tracing::error!("the reader of the events is gone: {error}");
            (self.lost)();
        }
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cuts a text to [`LONGEST_TEXT`].
fn cut(mut text: String) -> String {
    if text.len() > LONGEST_TEXT {
        text.truncate(text.floor_char_boundary(LONGEST_TEXT));
        text.push_str(" ...");
    }
    text
}

/// Makes the figures of an event: `figures([("loss", 0.1.into())])`.
pub fn figures<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs.into_iter().map(|(k, v)| (k.to_string(), v)).collect()
}
