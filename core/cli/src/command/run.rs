//! `anyflow run`.

use std::path::PathBuf;

use anyflow_plan::FileKind;
use anyflow_plan::order::Order;
use anyflow_plan::plan::{Job, PLAN_FORMAT};

use super::{columns, open, plugins, shown, summary};
use crate::compiled::{self, Compiled, Recognised};
use crate::console::{Console, Outcome};
use crate::error::{CliError, Result};
use crate::order;

/// Arguments of `anyflow run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pipeline (YAML)
    pipeline: PathBuf,
    /// Parquet files, or folders that hold some, of one dataset
    #[arg(long, num_args = 1.., value_name = "FILE_OR_DIR")]
    input: Vec<PathBuf>,
    /// Rows to generate by a pipeline without inputs; with inputs, the most rows to take
    #[arg(long)]
    rows: Option<u64>,
    /// Folder for the output; the same command resumes what lies there
    #[arg(long)]
    output: PathBuf,
    /// Value in place of the file's, e.g. joint.sampler.steps=50; may be repeated
    #[arg(long, value_name = "A.B=C")]
    set: Vec<String>,
    /// Column that names rows; default `id` where there is one, else the row's number
    #[arg(long, value_name = "COLUMN")]
    key: Option<String>,
    /// Rows of an output shard
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..))]
    shard_rows: u64,
    /// Rows per network call at most; default what a second of measuring finds best, once per output folder
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch_rows: Option<u32>,
    /// Stop after this many failed rows; without it, failed rows never stop a run
    #[arg(long, value_name = "N")]
    max_failures: Option<u64>,
    /// cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Threads; default all cores
    #[arg(long)]
    threads: Option<u32>,
    /// Memory to use, e.g. 4G or 800M; default a quarter of the machine's
    #[arg(long, value_name = "SIZE", value_parser = order::size)]
    memory: Option<u64>,
    /// Seconds that one call of a plugin may take before the job is given up; default no limit
    #[arg(long, value_name = "SECONDS", value_parser = order::seconds)]
    timeout: Option<f64>,
    /// Write a timeline that Perfetto reads
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

/// Checks everything that can be checked, then lets the engine run.
///
/// # Errors
/// What is wrong with files, plugins or the run.
pub fn run(args: &Args, console: &Console) -> Result<Outcome> {
    let plugins = plugins(console)?;
    let compiled = Recognised::read(&args.pipeline)?.expect(FileKind::Pipeline)?.compile(&plugins, &args.set, None)?;
    compiled.warn(console);
    check(&compiled, &args.input, args.rows, args.key.as_deref())?;
    let order = order(args, compiled.job)?;
    let result = order::execute(&order, console)?;
    let folder = shown(&args.output);
    Ok(Outcome::done(format!("{}see it with: anyflow report {folder}", summary(&result)), result))
}

/// Checks the inputs of a pipeline against its plan.
///
/// # Errors
/// Inputs that are missing, too many, empty, or of other columns.
pub fn check(compiled: &Compiled, inputs: &[PathBuf], rows: Option<u64>, key: Option<&str>) -> Result<()> {
    let Job::Run(plan) = &compiled.job else { return Ok(()) };
    let columns_read =
        || plan.inputs.values().map(|input| format!("`{}`", input.column)).collect::<Vec<_>>().join(", ");
    let refuse = |text: String| Err(CliError::Usage(text));
    match (plan.inputs.is_empty(), inputs.is_empty()) {
        (true, true) if rows.is_none_or(|rows| rows == 0) => {
            return refuse(format!(
                "pipeline {} has no inputs: say how many rows it shall make with --rows N",
                plan.name
            ));
        }
        (true, true) => return Ok(()),
        (true, false) => return refuse(format!("pipeline {} reads no inputs: leave --input out", plan.name)),
        (false, true) => {
            return refuse(format!("pipeline {} reads {}: name a dataset with --input", plan.name, columns_read()));
        }
        (false, false) => {}
    }
    let dataset = open(inputs)?;
    if dataset.rows() == 0 || rows == Some(0) {
        return refuse(format!("there are no rows to run: {} holds {}", shown(&inputs[0]), dataset.rows()));
    }
    compiled.check_inputs(&columns(&dataset))?;
    if let Some(key) = key {
        dataset.column(key)?;
    }
    Ok(())
}

fn order(args: &Args, mut job: Job) -> Result<Order> {
    compiled::absolute(&mut job);
    Ok(Order {
        format: PLAN_FORMAT,
        job,
        output: order::absolute(&args.output)?,
        inputs: args.input.iter().map(|path| order::absolute(path)).collect::<Result<_>>()?,
        rows: args.rows,
        key: args.key.clone(),
        shard_rows: args.shard_rows,
        batch_rows: args.batch_rows,
        max_failures: args.max_failures,
        device: args.device.clone(),
        threads: order::threads(args.threads),
        memory_bytes: args.memory,
        timeout_seconds: args.timeout,
        plugins_allowed: order::plugins_allowed()?,
        trace: args.trace.as_deref().map(order::absolute).transpose()?,
    })
}
