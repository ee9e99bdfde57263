//! `anyflow data survey`: predicts which rows a run will fail.

use std::path::PathBuf;

use anyflow_datasets::{Dataset, inspect};
use anyflow_plan::FileKind;
use anyflow_plan::plan::Job;
use anyflow_plan::survey::{ColumnSurvey, FailureCause, KeySurvey, Remedy, Survey, SurveyOrder};
use serde_json::Value;

use super::{bytes, counted, open};
use crate::command::{plugins, run, table};
use crate::compiled::{self, Recognised};
use crate::console::{CommandResult, Console};
use crate::engine::{self, Launch};
use crate::error::{CliError, Result};
use crate::order;
use crate::progress::{Progress, significant};
use crate::report::tables::percent;

/// Kinds of a column to show, such as formats.
const KINDS_SHOWN: usize = 6;

/// Arguments of `anyflow data survey`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Parquet files or folders of them, of one dataset
    #[arg(required = true)]
    data: Vec<PathBuf>,
    /// Pipeline (YAML) that reads the data
    #[arg(long, value_name = "FILE")]
    pipeline: PathBuf,
    /// Override a value of the pipeline, e.g. 'model.streams.image.codec={use: image/gray, partial: accept}' (repeatable)
    #[arg(long, value_name = "A.B=C")]
    set: Vec<String>,
    /// Number of rows to read, spread over the data
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u64).range(1..))]
    rows: u64,
    /// Read all rows
    #[arg(long, conflicts_with = "rows")]
    all: bool,
    /// Column of row keys [default: `id` if there is one, else the row number]
    #[arg(long, value_name = "COLUMN")]
    key: Option<String>,
    /// Number of threads [default: all cores]
    #[arg(long)]
    threads: Option<u32>,
    /// Memory limit, e.g. 4G or 800M [default: a quarter of the machine's]
    #[arg(long, value_name = "SIZE", value_parser = order::size)]
    memory: Option<u64>,
}

/// Reads a sample of the rows in the engine and shows what fails.
///
/// # Errors
/// Errors in files and plugins; columns that the pipeline cannot read at all.
pub fn run(args: &Args, console: &Console) -> Result<CommandResult> {
    let plugins = plugins(console)?;
    let file = Recognised::read(&args.pipeline)?.expect(FileKind::Pipeline)?;
    let compiled = file.compile(&plugins, &args.set, None)?;
    compiled.warn(console);
    if let Job::Run(plan) = &compiled.job
        && plan.inputs.is_empty()
    {
        let name = &plan.name;
        return Err(CliError::Usage(format!(
            "pipeline {name} has no inputs, so that no row of the data can fail it; name a pipeline with `inputs`"
        )));
    }
    let key = args.key.as_deref();
    run::check(&compiled, &run::Reads { inputs: &args.data, key, ..Default::default() })?;
    let order = order(args, compiled.job)?;
    let launch = Launch { order: &order, arguments: &["--survey", "-"], threads: 1 };
    let result = engine::execute(&launch, &mut Progress::new(console))?;
    let survey: Survey = serde_json::from_value(result.clone()).map_err(CliError::internal)?;
    Ok(CommandResult::done(text(&survey, &open(&args.data)?), result))
}

fn order(args: &Args, mut job: Job) -> Result<SurveyOrder> {
    compiled::absolute(&mut job);
    let Job::Run(plan) = job else { return Err(CliError::internal("a pipeline is not a run")) };
    Ok(SurveyOrder {
        plan,
        inputs: args.data.iter().map(|path| order::absolute(path)).collect::<Result<_>>()?,
        key: args.key.clone(),
        sample: (!args.all).then_some(args.rows),
        threads: order::threads(args.threads),
        memory_bytes: args.memory,
        plugins_allowed: order::plugins_allowed()?,
    })
}

fn text(survey: &Survey, dataset: &Dataset) -> String {
    let parts = [summary(survey), causes(survey), remedies(survey), columns(survey, dataset), keys(&survey.keys)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

fn summary(survey: &Survey) -> String {
    let Survey { rows, read, failing, share, margin, .. } = survey;
    if read == rows {
        return format!("{}, all read: {failing} fail ({})\n", counted(*rows, "row"), percent(*share));
    }
    let likely = (share * *rows as f64).round();
    format!(
        "{}, {read} read: {failing} fail; of all rows, about {likely} will ({} ± {:.1})\n",
        counted(*rows, "row"),
        percent(*share),
        margin * 100.0
    )
}

fn causes(survey: &Survey) -> String {
    let row = |cause: &FailureCause| {
        let text = cause.text.split_whitespace().collect::<Vec<_>>().join(" ");
        vec![
            format!("{:>8}", cause.rows),
            percent(cause.rows as f64 / survey.read.max(1) as f64),
            text,
            cause.keys.join(", "),
        ]
    };
    let rows: Vec<_> = survey.causes.iter().map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    let head = ["    rows", "share", "cause", "keys"].map(String::from).to_vec();
    table(&[vec![head], rows].concat())
}

fn remedies(survey: &Survey) -> String {
    let line = |remedy: &Remedy| {
        let Remedy { stream, parameter, now, value, tried, accepted } = remedy;
        let (now, value) = (word(now), word(value));
        format!(
            "`{parameter}: {value}` in the codec of `{stream}` accepts {accepted} of the {tried} cells that `{parameter}: \
             {now}` refuses\n"
        )
    };
    survey.remedies.iter().map(line).collect()
}

/// A value as YAML has it.
fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), String::from)
}

fn columns(survey: &Survey, dataset: &Dataset) -> String {
    let mut rows = vec![["column", "on disk", "nulls", "in the rows read"].map(String::from).to_vec()];
    for column in inspect(dataset).columns {
        let Some(found) = survey.columns.get(&column.name) else { continue };
        let nulls = match column.nulls {
            Some(nulls) => nulls.to_string(),
            None => format!("{} of {}", found.nulls, survey.read),
        };
        rows.push(vec![column.name, bytes(column.compressed_bytes), nulls, described(found)]);
    }
    table(&rows)
}

fn described(column: &ColumnSurvey) -> String {
    let mut parts = Vec::new();
    if column.unreadable > 0 {
        parts.push(format!("unreadable: {}", column.unreadable));
    }
    for (property, kinds) in &column.kinds {
        let shown = kinds.iter().take(KINDS_SHOWN).map(|(kind, count)| format!("{kind} ({count})"));
        let more = kinds.len().saturating_sub(KINDS_SHOWN);
        let more = (more > 0).then(|| format!("{more} more"));
        parts.push(format!("{property}: {}", shown.chain(more).collect::<Vec<_>>().join(", ")));
    }
    for (property, range) in &column.ranges {
        let [min, median, max] = [range.min, range.median, range.max].map(|value| match property.as_str() {
            "bytes" => bytes(value as u64),
            _ => significant(value),
        });
        let property = if property == "bytes" { "size" } else { property };
        parts.push(if min == max {
            format!("{property}: {min}")
        } else {
            format!("{property}: {min} to {max}, median {median}")
        });
    }
    parts.join("; ")
}

fn keys(keys: &KeySurvey) -> String {
    let KeySurvey { column, read, repeated, examples } = keys;
    match column {
        None => "keys: the numbers of rows; name a column with unique values with --key if rows may move\n".into(),
        Some(column) if *repeated == 0 => format!("keys: column `{column}`, none of {read} repeats\n"),
        Some(column) => format!(
            "keys: column `{column}`, {repeated} of {read} rows repeat an earlier key, hence its noise: {}\n",
            examples.join(", ")
        ),
    }
}
