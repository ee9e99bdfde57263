//! Rows through a pipeline: a reader thread decodes cells, the compute thread does the networks, a writer thread
//! encodes cells and commits shards. Every queue is bounded.

mod batch;
mod cap;
mod compute;
mod read;
mod write;

use std::path::Path;
use std::time::Instant;

use anyflow_datasets::{JobId, OutputDir, repeated_keys};
use anyflow_plan::order::Order;
use anyflow_plan::plan::RunPlan;
use crossbeam::channel::bounded;
use serde_json::{Value, json};
use tch::Device;

use crate::events::{Events, figures};
use crate::{Result, RunError, Session};
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

    let Session { codecs, streams, denoisers, .. } = session;
    let reader = Reader::open(plan, order, &codecs)?;
    let job = JobId { fingerprint: fingerprint(plan, order, &reader)? };
    let output = OutputDir::open(Path::new(&order.output), &job)?;
    let pending: Vec<u64> = (0..reader.shards()).filter(|shard| !output.committed(*shard)).collect();
    let done = reader.rows_before(&pending);
    let compute = Compute::start(plan, streams, denoisers, &codecs, device, events)?;
    if !pending.is_empty() {
        cap::settle(compute.engine(), plan, order, events)?;
    }
    let mut writer = Writer::new(plan, order, &codecs, output, reader.features(), done, events);

    events.begin("rows", Some(reader.rows()), "rows", done);
    let sampling = Instant::now();
    let (to_compute, from_reader) = bounded(QUEUE);
    let (to_writer, from_compute) = bounded(QUEUE);
    let reader = &reader;
    let summary = std::thread::scope(|scope| {
        let reading = named("reader").spawn_scoped(scope, move || -> Result<()> {
            let mut repeated = 0;
            for shard in pending {
                let batch = reader.read(shard)?;
                repeated += repeated_keys(&batch.keys);
                if to_compute.send(batch).is_err() {
                    return Ok(()); // the compute side failed and says why
                }
            }
            if repeated > 0 {
                events.note(format!(
                    "{repeated} rows have the key of another row of their shard, and so the same noise; name a column \
                     with a value for each row by --key"
                ));
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
    write_provenance(plan, order, &result)?;
    Ok(result)
}

fn named(name: &str) -> std::thread::Builder {
    std::thread::Builder::new().name(name.into())
}

/// What makes two runs the same job: the plan with its weights, the rows, and how they are cut.
fn fingerprint(plan: &RunPlan, order: &Order, reader: &Reader<'_>) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(serde_json::to_string(plan).map_err(|e| RunError::Internal(e.to_string()))?.as_bytes());
    hasher.update(checkpoint_hash(plan)?.as_bytes());
    hasher.update(reader.fingerprint().as_bytes());
    hasher.update(format!("{} {} {:?} {:?}", reader.rows(), order.shard_rows, order.key, order.batch_rows).as_bytes());
    Ok(hasher.finalize().to_hex().to_string())
}

fn checkpoint_hash(plan: &RunPlan) -> Result<String> {
    let path = Path::new(plan.model.checkpoint.as_deref().unwrap_or_default());
    let bytes = std::fs::read(path).map_err(RunError::io(path))?;
    Ok(blake3::hash(&bytes).to_hex().to_string())
}

fn write_provenance(plan: &RunPlan, order: &Order, result: &Value) -> Result<()> {
    let when = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    let provenance = json!({
        "pipeline": plan.source,
        "model": plan.model.source,
        "checkpoint": plan.model.checkpoint,
        "checkpoint_blake3": checkpoint_hash(plan)?,
        "inputs": order.inputs,
        "versions": crate::versions(),
        "device": order.device,
        "finished_unix": when,
        "result": result,
    });
    let text = serde_json::to_vec_pretty(&provenance).map_err(|e| RunError::Internal(e.to_string()))?;
    crate::checkpoint::write_atomically(&Path::new(&order.output).join("run.json"), &text)
}
