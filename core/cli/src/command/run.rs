//! `anyflow run`.

mod cluster;
mod engines;
mod file_size;
mod inputs;
mod kept;
mod sweep;

use std::path::{Path, PathBuf};

use anyflow_datasets::{MANIFEST_FILE, Manifest, PARTS_FOLDER, is_address, is_there};
use anyflow_plan::FileKind;
use anyflow_plan::descriptor::CellKind;
use anyflow_plan::order::{Order, RowSelection, ShardShare, Share};
use anyflow_plan::plan::{Job, PLAN_FORMAT};
use anyflow_plan::seeds::{self, Drawing};
use cluster::Cluster;
pub use inputs::{Reads, check};
use kept::KeptColumns;

use super::{columns, open, plugins, shown, summary};
use crate::attempts;
use crate::catalog::InstalledPlugins;
use crate::compiled::{self, Compiled, Recognised};
use crate::console::{CommandResult, Console};
use crate::error::{CliError, Result};
use crate::order;
use crate::progress::Progress;
use crate::supervise::at_end_of_input;

/// The folder of the shards in an output.
const DATA_FOLDER: &str = "data";

/// Arguments of `anyflow run`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Pipeline (YAML)
    pipeline: PathBuf,
    /// Parquet files or folders of them, of one dataset, on the disk or in a store, e.g. s3://bucket/folder (repeatable)
    #[arg(long, num_args = 1.., value_name = "FILE_OR_DIR")]
    input: Vec<PathBuf>,
    /// Number of rows to generate; with --input, the maximum number of rows to read
    #[arg(long)]
    rows: Option<u64>,
    /// Condition on columns that rows must fulfil, e.g. "label = 3 and not (split = 'test' or score is null)"
    #[arg(long = "where", value_name = "CONDITION")]
    filter: Option<String>,
    /// Number of rows to pass over first, of those that --where selects
    #[arg(long, default_value_t = 0, value_name = "N")]
    skip: u64,
    /// Number of times that each row runs, each with other noise; the output gets a column `draw`
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    draws: u64,
    /// Output folder, on the disk or in a store; run the same command again to resume
    #[arg(long)]
    output: PathBuf,
    /// Override a value of the file, e.g. joint.sampler.steps=50 (repeatable)
    #[arg(long, value_name = "A.B=C")]
    set: Vec<String>,
    /// Values that a key takes in turn, e.g. joint.sampler.steps=4,8,16 (repeatable): runs every combination into a
    /// sub-folder of the output, with the files that repeat it alone; `anyflow report` compares them
    #[arg(long, value_name = "A.B=C,D", conflicts_with = "trace")]
    sweep: Vec<String>,
    /// Combine the first values of all --sweep, then the second ones, in place of every combination
    #[arg(long, requires = "sweep")]
    sweep_zip: bool,
    /// Seed of the noise, in place of the file's seeds: of the first node that draws noise, and for each other node made
    /// from it and the node's name; --set NODE.seed=M takes precedence [default: the file's seeds, or 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Column of row keys [default: `id` if there is one, else the row number]
    #[arg(long, value_name = "COLUMN")]
    key: Option<String>,
    /// Input columns to copy to the output, e.g. id,label; '*' for all, no name for none [default: all but large files that
    /// the pipeline reads]
    #[arg(long, num_args = 0.., value_delimiter = ',', value_name = "COLUMN")]
    keep: Option<Vec<String>>,
    /// Number of rows per output shard
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..))]
    shard_rows: u64,
    /// Size of an output file, e.g. 256M, from which the number of rows per shard is estimated
    #[arg(long, value_name = "SIZE", value_parser = order::size, conflicts_with = "shard_rows")]
    file_size: Option<u64>,
    /// Do only the I-th of N shares of the shards, into a part of the output folder; any number of such commands may run at
    /// once, on one machine or many, and `anyflow finish` makes one output of their parts
    #[arg(long, value_name = "I/N", requires = "batch_rows", conflicts_with_all = ["file_size", "sweep"])]
    shards: Option<ShardShare>,
    /// Cluster that does the shards, such as ballista=10.0.0.1:50050; input, output, weights and plugins must be there for its
    /// workers too
    #[arg(long, value_name = "ballista=HOST:PORT", requires = "batch_rows", conflicts_with_all = ["shards", "engines", "file_size", "sweep", "trace", "max_failures"])]
    on: Option<Cluster>,
    /// Number of engines, each with a part of the shards; needs --batch-rows [default: one for each device]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    engines: Option<u32>,
    /// Attempts at a shard that kills its process: the engine is started again, and after N attempts the rows of the shard
    /// fail and the job goes on [default: the command ends at the first]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_attempts: Option<u64>,
    /// Maximum rows per network call [default: measured once per output folder]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch_rows: Option<u32>,
    /// Stop after this many failed rows [default: never]
    #[arg(long, value_name = "N")]
    max_failures: Option<u64>,
    /// Device: cpu, cuda or cuda:N; several, such as cuda:0,cuda:1, have an engine each; they need --batch-rows
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Number of threads [default: all cores]
    #[arg(long)]
    threads: Option<u32>,
    /// Memory limit, e.g. 4G or 800M [default: a quarter of the machine's]
    #[arg(long, value_name = "SIZE", value_parser = order::size)]
    memory: Option<u64>,
    /// Stop the job if a call into a plugin takes more seconds [default: no limit]
    #[arg(long, value_name = "SECONDS", value_parser = order::seconds)]
    timeout: Option<f64>,
    /// For a program that starts this one: report events as lines of JSON on standard error, and stop when standard
    /// input ends
    #[arg(long)]
    watched: bool,
    /// Write a timeline for Perfetto
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

impl Args {
    fn reads(&self) -> Reads<'_> {
        let (key, keep) = (self.key.as_deref(), self.keep.as_deref());
        Reads { inputs: &self.input, rows: self.rows, key, keep, selection: self.selection() }
    }

    fn selection(&self) -> RowSelection {
        RowSelection { filter: self.filter.clone(), skip: self.skip, draws: self.draws }
    }
}

/// Checks the files, then runs the pipeline in the engine.
///
/// # Errors
/// Errors in files, plugins or the run.
pub fn run(args: &Args, console: &Console) -> Result<CommandResult> {
    let console = &Console { events: args.watched, ..*console };
    if args.watched {
        at_end_of_input().map_err(CliError::internal)?;
    }
    let plugins = plugins(console)?;
    let devices = engines::devices(args)?;
    if !args.sweep.is_empty() {
        if is_address(&args.output) {
            let text = "--sweep writes its sub-folders and files to a disk; choose another --output".into();
            return Err(CliError::Usage(text));
        }
        return sweep::run(args, &plugins, console);
    }
    let compiled = compile(args, &plugins)?;
    compiled.warn(console);
    check(&compiled, &args.reads())?;
    let order = order_of(args, compiled.job, &devices, console)?;
    if let Some(on) = &args.on {
        return cluster::run(args, &order, on, console);
    }
    if devices.len() > 1 {
        return engines::run(args, &order, &devices, console);
    }
    if let Some(share) = args.shards {
        return part(&order, share, &args.output, console);
    }
    let result = attempts::execute(&order, console, || Progress::new(console))?;
    let rows = shown(&args.output.join(DATA_FOLDER));
    let files = Manifest::read(&args.output)?.shards.len();
    let files = if files == 1 { "1 file".into() } else { format!("{files} files") };
    let command = if is_address(&args.output) { "data head" } else { "report" };
    let view = format!("rows: {rows} ({files})\nview them with: anyflow {command} {}", shown(&args.output));
    Ok(CommandResult::done(format!("{}{view}", summary(&result)), result))
}

/// Runs one share of the shards.
fn part(order: &Order, share: ShardShare, output: &Path, console: &Console) -> Result<CommandResult> {
    if is_there(&output.join(MANIFEST_FILE))? {
        let text = format!("{}: holds a finished job; choose another --output", shown(output));
        return Err(CliError::Usage(text));
    }
    let result = attempts::execute(order, console, || Progress::new(console))?;
    let next = format!("part {share} is complete; when all are: anyflow finish {}", shown(output));
    Ok(CommandResult::done(format!("{}{next}", summary(&result)), result))
}

/// The folder that an order writes to: one of its own for each share of the shards, but for an output in a store, to which
/// all write.
fn folder_of(output: &Path, share: Option<ShardShare>) -> PathBuf {
    match share {
        Some(share) if !is_address(output) => output.join(PARTS_FOLDER).join(share.name()),
        _ => output.to_path_buf(),
    }
}

fn compile(args: &Args, plugins: &InstalledPlugins) -> Result<Compiled> {
    compile_pipeline(Recognised::read(&args.pipeline)?, &args.set, args.seed, plugins)
}

/// Compiles a pipeline with the overrides of `--set`, and with `--seed` if it is given.
///
/// # Errors
/// See [`Recognised::compile`]; the file is not a pipeline.
pub fn compile_pipeline(
    file: Recognised,
    set: &[String],
    seed: Option<u64>,
    plugins: &InstalledPlugins,
) -> Result<Compiled> {
    let file = file.expect(FileKind::Pipeline)?;
    let compile = |set: &[String]| file.clone().compile(plugins, set, None);
    let compiled = compile(set)?;
    let Some(seed) = seed else { return Ok(compiled) };
    // The nodes are known only from the plan. What the user sets comes last, and so wins.
    let drawing: Vec<_> = noisy_nodes(&compiled.job).into_iter().map(|node| Drawing { node, written: None }).collect();
    let seeds = drawing.iter().zip(seeds::of_nodes(seed, &drawing));
    // `part/node` is a node of the pipeline that `part` uses.
    let path = |node: &str| node.replace('/', ".with.");
    let seeds = seeds.map(|(drawing, seed)| format!("{}.seed={seed}", path(drawing.node)));
    compile(&seeds.chain(set.iter().cloned()).collect::<Vec<_>>())
}

/// The nodes of a pipeline that draw noise.
fn noisy_nodes(job: &Job) -> Vec<&str> {
    let Job::Run(plan) = job else { return Vec::new() };
    plan.steps.iter().filter(|step| step.op.diffusion().is_some()).map(|step| step.node.as_str()).collect()
}

/// What the user should know of a column of [`replaced`].
pub fn replacement(column: &str) -> String {
    format!("output `{column}` replaces the input column `{column}`")
}

/// The columns of the input that outputs of a pipeline replace by other values.
pub fn replaced(job: &Job, columns: &[(String, Option<CellKind>)]) -> Vec<String> {
    let Job::Run(plan) = job else { return Vec::new() };
    let is_same = |column: &str, value: &str| plan.inputs.get(value).is_some_and(|input| input.column == column);
    let outputs = plan.outputs.iter().filter(|(column, value)| !is_same(column, value));
    let is_there = |column: &String| columns.iter().any(|(name, _)| name == column);
    outputs.map(|(column, _)| column.clone()).filter(is_there).collect()
}

fn order_of(args: &Args, mut job: Job, devices: &[String], console: &Console) -> Result<Order> {
    compiled::absolute(&mut job);
    let Job::Run(plan) = &job else { return Err(CliError::internal("a pipeline is not a run")) };
    let dataset = if args.input.is_empty() { None } else { Some(open(&args.input)?.with_files(plan.columns_read())) };
    let keep = match &dataset {
        None => args.keep.clone(),
        Some(dataset) => {
            let kept = KeptColumns::choose(plan, dataset, args.keep.as_deref())?;
            let replaced = replaced(&job, &columns(dataset));
            kept.notes().chain(replaced.iter().map(|name| replacement(name))).for_each(|note| console.note(&note));
            kept.names
        }
    };
    let shard_rows = match args.file_size {
        Some(size) => file_size::shard_rows(size, plan, dataset.as_ref(), keep.as_deref())?,
        None => args.shard_rows,
    };
    Ok(Order {
        format: PLAN_FORMAT,
        job,
        output: order::absolute(&folder_of(&args.output, args.shards))?,
        inputs: args.input.iter().map(|path| order::absolute(path)).collect::<Result<_>>()?,
        rows: args.rows,
        selection: args.selection(),
        key: args.key.clone(),
        keep,
        shard_rows,
        share: args.shards.map(Share::Range),
        batch_rows: args.batch_rows,
        max_attempts: args.max_attempts,
        last_death: None,
        max_failures: args.max_failures,
        device: devices[0].clone(),
        threads: engines::threads(args.threads, devices.len()),
        readers: None,
        memory_bytes: args.memory,
        timeout_seconds: args.timeout,
        plugins_allowed: order::plugins_allowed()?,
        trace: args.trace.as_deref().map(order::absolute).transpose()?,
    })
}
