//! The front's end of this program, when `anyflow run --on` starts it: an order comes in, events go out, as with an engine.

use std::io::{Read, Stdout};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyflow_plan::event::{Event, Fault};
use anyflow_plan::frame::{FrameReader, FrameWriter, LONGEST_EVENT, LONGEST_ORDER};
use anyflow_plan::order::Order;
use serde_json::{Map, Value};
use tokio::sync::oneshot::{Receiver, channel};

use crate::error::{ClusterError, Result};

/// Sends events.
pub struct EventWriter(Mutex<FrameWriter<Stdout>>);

impl EventWriter {
    /// EventWriter to standard output.
    pub fn to_front() -> EventWriter {
        EventWriter(Mutex::new(FrameWriter::new(std::io::stdout(), LONGEST_EVENT)))
    }

    /// The shards begin.
    pub fn begin(&self, total: u64, done: u64) {
        self.write(&Event::Begin { part: "shards".into(), total: Some(total), unit: "shards".into(), done });
    }

    /// So many shards are committed.
    pub fn progress(&self, done: u64) {
        self.write(&Event::Progress { part: "shards".into(), done, figures: Map::new() });
    }

    /// All shards are committed.
    pub fn end(&self, figures: Map<String, Value>) {
        self.write(&Event::End { part: "shards".into(), figures });
    }

    /// A message for people.
    pub fn note(&self, text: impl Into<String>) {
        self.write(&Event::Note { text: text.into() });
    }

    /// The last event.
    pub fn failed(&self, fault: Fault, text: String) {
        self.write(&Event::Failed { fault, text });
    }

    /// The last event.
    pub fn done(&self, result: Value) {
        self.write(&Event::Done { result });
    }

    fn write(&self, event: &Event) {
        let mut frames = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Without a reader, the end of the front's pipe ends this program.
        let _ = frames.write(event);
    }
}

/// Reads an order from a file, or with `-` from the front. The second value comes when the front has ended.
///
/// # Errors
/// There is no order.
pub fn order(from: &Path) -> Result<(Order, Receiver<()>)> {
    let (ended, has_ended) = channel();
    let wrong = |error: &dyn std::fmt::Display| ClusterError::Usage(format!("{}: {error}", from.display()));
    if from != Path::new("-") {
        let text = std::fs::read(from).map_err(|error| wrong(&error))?;
        // Nobody waits for the end of this program.
        std::mem::forget(ended);
        return Ok((serde_json::from_slice(&text).map_err(|error| wrong(&error))?, has_ended));
    }
    let mut frames = FrameReader::new(std::io::stdin(), LONGEST_ORDER);
    let order = frames.read().map_err(|error| wrong(&error))?.ok_or_else(|| wrong(&"no order comes"))?;
    let wait = move || {
        let mut nothing = [0; 64];
        let mut input = frames.into_inner();
        while input.read(&mut nothing).is_ok_and(|count| count > 0) {}
        let _ = ended.send(());
    };
    std::thread::Builder::new().name("front".into()).spawn(wait).map_err(ClusterError::internal)?;
    Ok((order, has_ended))
}
