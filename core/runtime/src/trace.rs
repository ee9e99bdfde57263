//! A timeline in the JSON format of Perfetto and chrome://tracing: each span of `tracing` is a complete event.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::thread::ThreadId;
use std::time::Instant;

use rustix::fs::OFlags;
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::{Result, RunError};

/// The start of every timeline.
const START: &str = "[\n{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"args\":{\"name\":\"anyflow\"}}";
/// The end of every timeline. The next event overwrites it.
const END: &str = "\n]\n";

/// Writes spans to a file as they close. After each of them, the file is a JSON list.
pub struct Timeline {
    started: Instant,
    out: Mutex<TraceFile>,
}

struct TraceFile {
    file: File,
    /// The threads so far; the index of a thread is its number in the file.
    threads: Vec<ThreadId>,
}

impl TraceFile {
    /// The number of the calling thread. A new thread is first named in the file.
    fn thread(&mut self) -> std::io::Result<usize> {
        let thread = std::thread::current();
        if let Some(number) = self.threads.iter().position(|known| *known == thread.id()) {
            return Ok(number);
        }
        let number = self.threads.len();
        self.threads.push(thread.id());
        let name = thread.name().unwrap_or("worker");
        let named = json!({ "name": "thread_name", "ph": "M", "pid": 1, "tid": number, "args": { "name": name } });
        self.append(&named)?;
        Ok(number)
    }

    fn append(&mut self, event: &Value) -> std::io::Result<()> {
        self.file.seek(SeekFrom::End(-(END.len() as i64)))?;
        self.file.write_all(format!(",\n{event}{END}").as_bytes())
    }
}

impl Timeline {
    /// Creates the file of a timeline, or replaces an earlier timeline.
    ///
    /// # Errors
    /// [`RunError::Io`]; the file exists and holds something else.
    pub fn create(path: &Path) -> Result<Self> {
        let create = || -> std::io::Result<_> {
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false);
            // The other end of a pipe may never come.
            let mut file = options.custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)?;
            let mut found = Vec::new();
            (&mut file).take(START.len() as u64).read_to_end(&mut found)?;
            if !file.metadata()?.is_file() || !(found.is_empty() || found == START.as_bytes()) {
                return Err(std::io::Error::other("it is not a timeline; name another file for --trace"));
            }
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(format!("{START}{END}").as_bytes())?;
            Ok(file)
        };
        let file = create().map_err(RunError::io(path))?;
        Ok(Timeline { started: Instant::now(), out: Mutex::new(TraceFile { file, threads: Vec::new() }) })
    }
}

/// The fields of a span as JSON.
#[derive(Default)]
struct Fields(serde_json::Map<String, serde_json::Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().into(), format!("{value:?}").into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().into(), value.into());
    }
}

struct Entered(Instant);

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Timeline {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            span.extensions_mut().replace(Entered(Instant::now()));
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let extensions = span.extensions();
        let Some(Entered(entered)) = extensions.get() else { return };
        let start = entered.duration_since(self.started);
        let length = entered.elapsed();
        let Ok(mut out) = self.out.lock() else { return };
        // A failure to write the timeline must not stop the job.
        let _ = out.thread().and_then(|thread| {
            let event = json!({
                "name": span.name(),
                "ph": "X",
                "ts": start.as_micros() as u64,
                "dur": length.as_micros() as u64,
                "pid": 1,
                "tid": thread,
                "args": extensions.get::<Fields>().map(|fields| &fields.0),
            });
            out.append(&event)
        });
    }
}
