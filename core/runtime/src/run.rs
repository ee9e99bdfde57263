//! Runs a pipeline in five concurrent stages: read rows, encode cells to arrays, run the networks, decode arrays to cells,
//! write shards. Micro-batches pass between the stages, so a shard never has to fit in memory. All queues and the number
//! of micro-batches in memory are bounded.

mod cap;
mod causes;
mod compute;
mod constant;
mod cut;
mod decode;
mod draws;
mod encode;
mod features;
mod first_cells;
mod given;
mod input_cells;
mod micro_batch;
mod output_rows;
mod permits;
mod read;
mod rows;
mod stage;
mod survey;
mod tries;
mod write;

use std::time::Instant;

use anyflow_datasets::{Features, OutputDir};
use anyflow_plan::order::{Order, Share};
use anyflow_plan::plan::RunPlan;
use crossbeam::channel::bounded;
use indexmap::IndexMap;
use serde_json::{Map, Value, json};
use tch::Device;

use crate::events::{Events, figures};
use crate::identity::InputRows;
use crate::networks::Networks;
use crate::plugin::Codec;
use crate::provenance::{self, Provenance};
use crate::{Judge, Result, RunError, Session, output};
use cap::Settling;
use compute::Compute;
pub use compute::Follow;
use decode::DecodeStage;
use encode::{CellSource, EncodeStage};
pub use features::feature_of;
use first_cells::FIRST_ROWS;
pub use given::GivenShards;
use given::Giving;
use input_cells::InputSource;
use output_rows::OutputRows;
pub use permits::Permits;
use read::ShardReader;
pub use rows::{ClientRows, run_rows};
use stage::{Message, Stages};
pub use survey::survey;
use tries::Tries;
use write::{OutputWriter, RunSummary};

/// The names of the stages and of their threads.
const STAGES: [&str; 5] = [READ, ENCODE, COMPUTE, DECODE, WRITE];
const READ: &str = "read";
const ENCODE: &str = "encode";
const COMPUTE: &str = "compute";
const DECODE: &str = "decode";
const WRITE: &str = "write";

/// Runs a plan. Committed shards of an earlier run of the same job are kept. `given` are the shards of an order whose shards
/// are given.
///
/// # Errors
/// The error that ended the job. Failures of single rows are written, not returned, unless all rows fail.
pub fn run(plan: &RunPlan, order: &Order, given: &GivenShards, device: Device, events: &Events) -> Result<Value> {
    let reader = ShardReader::open(plan, order)?;
    // A cell that kills the process must not do so before attempts are counted.
    if order.max_attempts.is_none() {
        look_at_first_cells(plan, order, &reader, events)?;
    }
    let started = Instant::now();
    events.begin("load", None, "parts", 0);
    let mut session = Session::load(&plan.model, device)?;
    let judges = Judge::of_nodes(&plan.scorers, &mut session)?;
    events.end("load", figures([("seconds", started.elapsed().as_secs_f64().into())]));

    let loaded = session.loaded();
    let factors = session.factors(&plan.model)?;
    let Session { codecs, streams, denoisers, .. } = session;
    let input = reader.input()?;
    let output = output::of_run(order, &loaded, &input)?;
    let share = reader.share_size();
    let rows = output_rows(plan, order, &reader)?;
    let features = rows.features.clone();
    let tries = Tries::of(order, &output)?;
    let given_up = tries.as_ref().map_or(Ok(Vec::new()), |tries| tries.give_up_due(&reader, &features, events))?;
    if order.is_given() {
        output.begin_given_part(plan.model.license.as_deref())?;
    }
    let mut writer = OutputWriter::new(plan, order, &output, rows, tries.as_ref(), events);
    writer.check_failures()?;
    let done = writer.committed();
    let mut networks = Networks::start(streams, denoisers, device)?;
    networks.factors = factors;
    judges.into_iter().try_for_each(|(node, judge)| networks.add_judge(node, judge))?;
    let mut compute = Compute::start(plan, order.threads as usize, &networks, &codecs, events)?;
    if done < share.rows {
        let rows = share.rows - done;
        cap::settle(&Settling { engine: compute.engine(), plan, order, rows, output: &output, events })?;
    }

    events.begin("rows", Some(share.rows), "rows", done);
    let started = Instant::now();
    let stages = Stages::default();
    let tries = tries.as_ref();
    let (codecs, reader, input, output) = (&codecs, &reader, &input, &output);
    let rest = Rest { plan, order, given, codecs, reader, input, output, features, tries, events };
    let summary = rest.run(&stages, &mut compute, &mut writer);
    note_repeated(reader, events);
    if let (Err(_), Some(tries)) = (&summary, tries) {
        tries.take_back();
    }
    let summary = summary?;
    let seconds = started.elapsed().as_secs_f64();
    let stats = compute.stats();
    let [prompt_rows, encoded_prompts] = compute.prompt_rows();
    let mut result = json!({
        "rows": summary.rows,
        "failed": summary.failed,
        "shards": summary.shards,
        "output": order.output,
        "seconds": seconds,
        "rows_per_second": (share.rows - done) as f64 / seconds.max(1e-9),
        "network_calls": stats.steps,
        "row_steps": stats.row_steps,
        "stage_seconds": STAGES.map(|name| (name.into(), stages.seconds(name).into())).into_iter().collect::<Map<_, _>>(),
    });
    if !given_up.is_empty() {
        result["quarantined_shards"] = given_up.len().into();
    }
    if prompt_rows > 0 {
        result["prompt_rows"] = prompt_rows.into();
        result["encoded_prompts"] = encoded_prompts.into();
    }
    events.end("rows", result.as_object().cloned().unwrap_or_default());
    let provenance = Provenance { plan, order, loaded: &loaded, input, result: &result };
    // A command that finds all rows finished has no figures to tell.
    if done < share.rows || output.read(provenance::FILE)?.is_none() {
        provenance.write(output)?;
    }
    match summary.rows {
        0 if order.share.is_none() => {
            Err(RunError::AllFailed { failed: summary.failed, path: write::failures_file(order) })
        }
        _ => Ok(result),
    }
}

/// The rows that the pipeline puts out, with the input columns that pass.
fn output_rows<'a>(plan: &'a RunPlan, order: &'a Order, reader: &ShardReader<'_>) -> Result<OutputRows<'a>> {
    OutputRows::new(plan, move |column| features::passes(plan, order, column), &reader.features())
}

fn look_at_first_cells(plan: &RunPlan, order: &Order, reader: &ShardReader<'_>, events: &Events) -> Result<()> {
    let Some(dataset) = reader.dataset() else { return Ok(()) };
    let (columns, threads) = (reader.columns(), order.threads as usize);
    let source = InputSource { plan, dataset, columns, key: order.key.as_deref(), threads };
    first_cells::look(source, reader.first_rows(FIRST_ROWS), events)
}

fn note_repeated(reader: &ShardReader<'_>, events: &Events) {
    let repeated = reader.repeated();
    if repeated > 0 {
        events.note(format!(
            "{repeated} rows have the key of another row of their shard, hence the same noise; name a column with a \
             unique value per row with --key"
        ));
    }
}

/// The rest of a run: the shards that are not committed yet.
struct Rest<'a> {
    plan: &'a RunPlan,
    order: &'a Order,
    given: &'a GivenShards,
    codecs: &'a IndexMap<String, Codec>,
    reader: &'a ShardReader<'a>,
    input: &'a InputRows,
    output: &'a OutputDir,
    features: Features,
    tries: Option<&'a Tries<'a>>,
    events: &'a Events,
}

impl Rest<'_> {
    /// Sends the shards through all stages.
    fn run(&self, stages: &Stages, compute: &mut Compute<'_>, writer: &mut OutputWriter<'_>) -> Result<RunSummary> {
        let Rest { plan, order, codecs, reader, input, .. } = *self;
        let permits = &Permits::new(cut::alive(plan, reader.batch_rows(), anyflow_datasets::memory()));
        let threads = order.threads as usize;
        let source = reader.dataset().map_or(CellSource::Nothing, CellSource::Dataset);
        let encoder = EncodeStage::new(plan, threads, source, codecs);
        let decoder = DecodeStage::new(plan, threads, codecs);
        let batches = reader.batches(self.shards(stages));
        let queue = || bounded::<Message>(permits.count());
        let (to_encode, from_read) = queue();
        let (to_compute, from_encode) = queue();
        let (to_decode, from_compute) = queue();
        let (to_write, from_decode) = queue();
        std::thread::scope(|scope| {
            // The first stage starts last, so that no row is read before all stages have their threads.
            let writing = stage::start(scope, WRITE, move || {
                stages.take(WRITE, &from_decode, |message| match message {
                    Message::Rows(batch, _permit) => writer.write(*batch).map(|()| None),
                    Message::End(read) => {
                        reader.check_linked(input)?;
                        writer.finish(read, reader.share_size()).map(Some)
                    }
                })
            })?;
            stage::start(scope, DECODE, move || {
                stages.pass(DECODE, &from_compute, &to_write, |batch| decoder.decode(batch));
            })?;
            stage::start(scope, COMPUTE, move || {
                stages.pass(COMPUTE, &from_encode, &to_decode, |batch| compute.run(batch));
            })?;
            stage::start(scope, ENCODE, move || {
                stages.pass(ENCODE, &from_read, &to_compute, |batch| encoder.encode(batch));
            })?;
            stage::start(scope, READ, move || stages.feed(READ, permits, batches, &to_encode))?;
            stages.outcome(writing.join().unwrap_or_default())
        })
    }

    /// The shards to do, each counted before it begins.
    fn shards<'s>(&'s self, stages: &'s Stages) -> Box<dyn Iterator<Item = Result<u64>> + Send + 's> {
        let Rest { order, given, reader, output, tries, events, .. } = *self;
        let shards: Box<dyn Iterator<Item = Result<u64>> + Send + 's> = match &order.share {
            Some(Share::Given(share)) => {
                let features = self.features.clone();
                let giving = Giving { shards: given, share, output, reader, features, tries, events };
                Box::new(giving.into_shards(move || stages.has_failed()))
            }
            _ => Box::new(reader.share().filter(|shard| !output.committed(*shard)).map(Ok)),
        };
        match tries {
            Some(tries) => Box::new(tries.counted(shards, move || stages.has_failed())),
            None => shards,
        }
    }
}
