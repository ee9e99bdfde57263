//! A timeline: every span of `tracing` as a complete event in the JSON that Perfetto and chrome://tracing read.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::{Result, RunError};

/// Writes spans to a file as they close. The file is valid while it grows: readers accept a missing end.
pub struct Timeline {
    started: Instant,
    file: Mutex<BufWriter<File>>,
}

impl Timeline {
    /// A timeline into a new file.
    ///
    /// # Errors
    /// [`RunError::Io`].
    pub fn create(path: &Path) -> Result<Self> {
        let create = || -> std::io::Result<_> {
            let mut file = BufWriter::new(File::create(path)?);
            writeln!(file, "[")?;
            Ok(file)
        };
        let file = create().map_err(RunError::io(path))?;
        Ok(Timeline { started: Instant::now(), file: Mutex::new(file) })
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
        let thread = std::thread::current();
        let event = serde_json::json!({
            "name": span.name(),
            "ph": "X",
            "ts": entered.duration_since(self.started).as_micros() as u64,
            "dur": entered.elapsed().as_micros() as u64,
            "pid": 1,
            "tid": thread.name().unwrap_or("worker"),
            "args": extensions.get::<Fields>().map(|fields| &fields.0),
        });
        if let Ok(mut file) = self.file.lock() {
            // A timeline that cannot be written must not stop the work.
            let _ = writeln!(file, "{event},").and_then(|()| file.flush());
        }
    }
}
