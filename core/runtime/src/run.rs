//! Rows through a pipeline, in five stages that work at the same time: rows are read, their cells encoded to arrays, the
//! networks run, arrays decoded to cells, and shards written. What passes between them is a micro-batch: a shard never
//! has to fit into memory. Every queue is bounded, and so is the number of micro-batches alive.

mod batch;
mod cap;
mod compute;
mod cut;
mod decode;
mod encode;
mod features;
mod places;
mod read;
mod stage;
mod write;

use std::time::Instant;

use anyflow_datasets::OutputDir;
use anyflow_plan::order::Order;
use anyflow_plan::plan::RunPlan;
use crossbeam::channel::bounded;
use indexmap::IndexMap;
use serde_json::{Map, Value, json};
use tch::Device;

use crate::events::{Events, figures};
use crate::plugin::Codec;
use crate::provenance::Provenance;
use crate::{Result, RunError, Session, output};
use compute::Compute;
use decode::Decoder;
use encode::Encoder;
use places::Places;
use read::Reader;
use stage::{Line, Message};
use write::{Summary, Writer};

/// The stages, which are also the names of their threads.
const STAGES: [&str; 5] = [READ, ENCODE, COMPUTE, DECODE, WRITE];
const READ: &str = "read";
const ENCODE: &str = "encode";
const COMPUTE: &str = "compute";
const DECODE: &str = "decode";
const WRITE: &str = "write";

/// Runs a plan to the end; committed shards of an earlier run of the same job are kept.
///
/// # Errors
/// Why the job cannot go on; failures of single rows are written, not returned, unless no row succeeds.
pub fn run(plan: &RunPlan, order: &Order, device: Device, events: &Events) -> Result<Value> {
    let started = Instant::now();
    events.begin("load", None, "parts", 0);
    let session = Session::load(&plan.model, device)?;
    events.end("load", figures([("seconds", started.elapsed().as_secs_f64().into())]));

    let loaded = session.loaded();
    let Session { codecs, streams, denoisers, .. } = session;
    let reader = Reader::open(plan, order)?;
    let input = reader.input()?;
    let output = output::of_run(order, &loaded, &input)?;
    let mut writer = Writer::new(plan, order, &output, &reader.features(), events)?;
    writer.check_failures()?;
    let done = writer.committed();
    let mut compute = Compute::start(plan, streams, denoisers, &codecs, device, events)?;
    if done < reader.rows() {
        cap::settle(compute.engine(), plan, order, output.folder(), events)?;
    }

    events.begin("rows", Some(reader.rows()), "rows", done);
    let began = Instant::now();
    let line = Line::default();
    let job = Job { plan, order, codecs: &codecs, reader: &reader, output: &output };
    let summary = job.stages(&line, &mut compute, &mut writer);
    note_repeated(&reader, events);
    let summary = summary?;
    let seconds = began.elapsed().as_secs_f64();
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
        "stage_seconds": STAGES.map(|name| (name.into(), line.seconds(name).into())).into_iter().collect::<Map<_, _>>(),
    });
    events.end("rows", result.as_object().cloned().unwrap_or_default());
    Provenance { plan, order, loaded: &loaded, input: &input, result: &result }.write(output.folder())?;
    match summary.rows {
        0 => Err(RunError::AllFailed { failed: summary.failed, path: write::failures_file(order) }),
        _ => Ok(result),
    }
}

fn note_repeated(reader: &Reader<'_>, events: &Events) {
    let repeated = reader.repeated();
    if repeated > 0 {
        events.note(format!(
            "{repeated} rows have the key of another row of their shard, and so the same noise; name a column with a \
             value for each row by --key"
        ));
    }
}

/// What the stages work on.
struct Job<'a> {
    plan: &'a RunPlan,
    order: &'a Order,
    codecs: &'a IndexMap<String, Codec>,
    reader: &'a Reader<'a>,
    output: &'a OutputDir,
}

impl Job<'_> {
    /// Sends the shards that are not committed through all stages.
    fn stages(&self, line: &Line, compute: &mut Compute<'_>, writer: &mut Writer<'_>) -> Result<Summary> {
        let Job { plan, order, codecs, reader, output } = *self;
        let places = &Places::new(cut::alive(plan, reader.batch_rows(), anyflow_datasets::memory()));
        let (encoder, decoder) =
            (Encoder::new(plan, order, reader.dataset(), codecs), Decoder::new(plan, order, codecs));
        let batches = reader.batches((0..reader.shards()).filter(|shard| !output.committed(*shard)));
        let queue = || bounded::<Message>(places.number());
        let ((to_encode, from_read), (to_compute, from_encode)) = (queue(), queue());
        let ((to_decode, from_compute), (to_write, from_decode)) = (queue(), queue());
        std::thread::scope(|scope| {
            // The first stage starts last: no row is read before every stage has its thread.
            let writing = stage::start(scope, WRITE, move || {
                line.take(WRITE, &from_decode, |message| match message {
                    Message::Rows(batch, _place) => writer.write(*batch).map(|()| None),
                    Message::End(end) => writer.finish(end).map(Some),
                })
            })?;
            stage::start(scope, DECODE, move || {
                line.pass(DECODE, &from_compute, &to_write, |batch| decoder.decode(batch));
            })?;
            stage::start(scope, COMPUTE, move || {
                line.pass(COMPUTE, &from_encode, &to_decode, |batch| compute.run(batch));
            })?;
            stage::start(scope, ENCODE, move || {
                line.pass(ENCODE, &from_read, &to_compute, |batch| encoder.encode(batch));
            })?;
            stage::start(scope, READ, move || line.feed(READ, places, batches, &to_encode))?;
            line.outcome(writing.join().unwrap_or_default())
        })
    }
}
