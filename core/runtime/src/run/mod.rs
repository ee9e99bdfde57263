//! Rows through a pipeline: a reader thread decodes cells, the compute thread does the networks, a writer thread
//! encodes cells and commits shards. Every queue is bounded.

mod batch;
mod cap;
mod compute;
mod read;
mod write;

use std::time::Instant;

use anyflow_plan::order::Order;
use anyflow_plan::plan::RunPlan;
use crossbeam::channel::bounded;
use serde_json::{Value, json};
use tch::Device;

use crate::events::{Events, figures};
use crate::provenance::Provenance;
use crate::{Result, RunError, Session, output};
use compute::Compute;
use read::Reader;
use write::Writer;

/// Batches that wait between two threads.
const QUEUE: usize = 2;

/// Runs a plan to the end; committed shards of an earlier run of the same job are kept.
///
/// # Errors
/// Why the job cannot go on; failures of single rows are written, not returned.
pub fn run(plan: &RunPlan, order: &Order, device: Device, events: &Events) -> Result<Value> {
    let started = Instant::now();
    events.begin("load", None, "parts", 0);
    let session = Session::load(&plan.model, device)?;
    events.end("load", figures([("seconds", started.elapsed().as_secs_f64().into())]));

    let loaded = session.loaded();
    let Session { codecs, streams, denoisers, .. } = session;
    let reader = Reader::open(plan, order, &codecs)?;
    let input = reader.input()?;
    let output = output::of_run(order, &loaded, &input)?;
    let folder = output.folder().clone();
    let pending: Vec<u64> = (0..reader.shards()).filter(|shard| !output.committed(*shard)).collect();
    let done = reader.rows_before(&pending);
    let compute = Compute::start(plan, streams, denoisers, &codecs, device, events)?;
    if !pending.is_empty() {
        cap::settle(compute.engine(), plan, order, &folder, events)?;
    }
    let mut writer = Writer::new(plan, order, &codecs, output, reader.features(), done, events);

    events.begin("rows", Some(reader.rows()), "rows", done);
    let sampling = Instant::now();
    let (to_compute, from_reader) = bounded(QUEUE);
    let (to_writer, from_compute) = bounded(QUEUE);
    let reader = &reader;
    let summary = std::thread::scope(|scope| {
        let reading = named("reader").spawn_scoped(scope, move || -> Result<()> {
            for shard in pending {
                if to_compute.send(reader.read(shard)?).is_err() {
                    return Ok(()); // the compute side failed and says why
                }
            }
            Ok(())
        });
        let writing = named("writer").spawn_scoped(scope, move || -> Result<write::Summary> {
            for batch in from_compute {
                writer.write(batch)?;
            }
            writer.finish()
        });
        let no_thread = |error: std::io::Error| RunError::Io { path: "a thread".into(), source: error };
        let (reading, writing) = (reading.map_err(no_thread)?, writing.map_err(no_thread)?);
        let mut computed = Ok(());
        for mut batch in from_reader {
            computed = compute.run(&mut batch);
            if computed.is_err() || to_writer.send(batch).is_err() {
                break;
            }
        }
        // A side that failed hangs up, and the others end on their own; the first cause is the one to tell. The
        // writer must not finish a run that is cut short, so it hears of failures before its queue closes.
        let read = reading.join().unwrap_or_else(|_| Err(RunError::Internal("the reader panicked".into())));
        let cut_short = read.and(computed);
        if cut_short.is_err() {
            drop(to_writer.send(batch::Batch::cut_short()));
        }
        drop(to_writer);
        let written = writing.join().unwrap_or_else(|_| Err(RunError::Internal("the writer panicked".into())));
        cut_short.and(written)
    })?;

    let seconds = sampling.elapsed().as_secs_f64();
    let stats = compute.stats();
    let result = json!({
        "rows": summary.rows,
        "failed": summary.failed,
        "shards": summary.shards,
        "output": order.output,
        "seconds": seconds,
        "rows_per_second": (reader.rows() - done) as f64 / seconds.max(1e-9),
        "network_calls": stats.steps,
        "row_steps": stats.row_steps,
    });
    events.end("rows", result.as_object().cloned().unwrap_or_default());
    Provenance { plan, order, loaded: &loaded, input: &input, result: &result }.write(&folder)?;
    Ok(result)
}

fn named(name: &str) -> std::thread::Builder {
    std::thread::Builder::new().name(name.into())
}
