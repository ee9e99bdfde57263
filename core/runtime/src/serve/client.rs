//! One connection: a call, its events, its end.

use std::convert::Infallible;
use std::io::{Cursor, Read};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use anyflow_datasets::Failure;
use anyflow_plan::event::{Event, Fault};
use anyflow_plan::frame::{FrameReader, LONGEST_ORDER};
use anyflow_plan::service::{LONGEST_ROWS, RowsCall, ServiceCall};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::ipc::reader::StreamReader;
use crossbeam::channel::{Receiver, bounded};
use serde_json::{Value, json};

use super::models::Models;
use crate::events::{Events, figures};
use crate::run::{ClientRows, Follow, run_rows};
use crate::{Result, RunError, process};

/// The most failed rows in an answer, and the most characters of each reason: an event is bounded.
const MOST_FAILURES: usize = 256;
const LONGEST_REASON: usize = 1000;

/// What all clients share.
pub struct Service {
    /// The loaded models.
    pub models: Models,
    /// Threads of codecs.
    pub threads: usize,
}

/// Answers the call of a connection.
pub fn answer(service: &Service, stream: UnixStream) {
    let (Ok(input), Ok(output)) = (stream.try_clone(), stream.try_clone()) else { return };
    let (open, stop) = bounded::<Infallible>(0);
    let hang_up = stream.try_clone();
    let events = Events::new(output, move || {
        // The reader of the other half then finds the end, which stops the call.
        if let Ok(stream) = &hang_up {
            let _ = stream.shutdown(Shutdown::Both);
        }
    });
    let mut frames = FrameReader::new(input, LONGEST_ORDER);
    let call = read(&mut frames);
    let input = frames.into_inner();
    std::thread::scope(|scope| {
        let watch = move || {
            wait(input);
            drop(open);
        };
        if let Err(error) = std::thread::Builder::new().name("client-end".into()).spawn_scoped(scope, watch) {
            return events.failed(Fault::Run, format!("the engine cannot start a thread: {error}"));
        }
        let work = AssertUnwindSafe(|| call.and_then(|call| service.answer(call, &events, &stop)));
        match catch_unwind(work) {
            Ok(Ok(result)) => events.done(result),
            Ok(Err(error)) => events.failed(error.fault(), error.to_string()),
            Err(_) => events.failed(Fault::Internal, "the engine panicked in this call; its log says where"),
        }
        // Ends the thread that waits for the client's end.
        let _ = stream.shutdown(Shutdown::Both);
    });
}

/// A call with the rows that follow it.
struct Received {
    call: ServiceCall,
    rows: Vec<u8>,
}

fn read(frames: &mut FrameReader<UnixStream>) -> Result<Received> {
    let refused = |error: anyflow_plan::frame::FrameError| RunError::Data(format!("the call cannot be read: {error}"));
    let call = frames.read().map_err(refused)?.ok_or_else(|| RunError::Data("the connection has no call".into()))?;
    let rows = match &call {
        ServiceCall::Run(RowsCall { bytes, .. }) => frames.attached(*bytes, LONGEST_ROWS).map_err(refused)?,
        ServiceCall::Load { .. } | ServiceCall::Unload { .. } | ServiceCall::Status => Vec::new(),
    };
    Ok(Received { call, rows })
}

/// Waits until the client closes its half. What it still sends is ignored.
fn wait(mut input: UnixStream) {
    let mut ignored = [0; 1024];
    while input.read(&mut ignored).is_ok_and(|count| count > 0) {}
}

impl Service {
    fn answer(&self, received: Received, events: &Events, stop: &Receiver<Infallible>) -> Result<Value> {
        match received.call {
            ServiceCall::Load { plan } => {
                let model = self.models.of(&plan, events, stop)?;
                Ok(json!({"model": model.name, "bytes": model.bytes}))
            }
            ServiceCall::Unload { plan } => Ok(json!({"unloaded": self.models.unload(&plan)?})),
            ServiceCall::Status => {
                let mut status = self.models.status();
                status["peak_memory_bytes"] = process::peak_memory().into();
                Ok(status)
            }
            ServiceCall::Run(call) => self.run(&call, received.rows, events, stop),
        }
    }

    fn run(&self, call: &RowsCall, rows: Vec<u8>, events: &Events, stop: &Receiver<Infallible>) -> Result<Value> {
        let model = self.models.of(&call.plan, events, stop)?;
        let input = if rows.is_empty() { None } else { Some(decoded(rows)?) };
        let started = Instant::now();
        events.begin("rows", Some(call.rows), "rows", 0);
        let rows = ClientRows {
            plan: &call.plan,
            rows: call.rows,
            first_row: call.first_row,
            key: call.key.as_deref(),
            input: input.as_ref(),
            codecs: &model.codecs,
            networks: &model.networks,
            threads: self.threads,
            follow: Follow { stop, preview_steps: call.preview_steps as usize },
        };
        let done = run_rows(&rows, events)?;
        let seconds = started.elapsed().as_secs_f64();
        events.end("rows", figures([("rows", done.rows.into()), ("seconds", seconds.into())]));
        events.rows(&Event::Rows { bytes: done.bytes.len() as u64 }, &done.bytes);
        let failed = done.failures.len();
        let failures: Vec<Value> = done.failures.iter().take(MOST_FAILURES).map(shown).collect();
        Ok(json!({"rows": done.rows, "failed": failed, "failures": failures, "seconds": seconds}))
    }
}

/// The rows of an Arrow IPC stream as one batch.
fn decoded(bytes: Vec<u8>) -> Result<RecordBatch> {
    let unreadable = |error| RunError::Data(format!("the rows are no Arrow IPC stream: {error}"));
    let reader = StreamReader::try_new(Cursor::new(bytes), None).map_err(unreadable)?;
    let schema = reader.schema();
    let batches = reader.collect::<std::result::Result<Vec<_>, _>>().map_err(unreadable)?;
    concat_batches(&schema, &batches).map_err(unreadable)
}

fn shown(failure: &Failure) -> Value {
    let Failure { row_key, row, node, code, text } = failure;
    let text: String = text.chars().take(LONGEST_REASON).collect();
    json!({"row_key": row_key, "row": row, "node": node, "code": code, "text": text})
}
