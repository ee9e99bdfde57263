//! `anyflow eval`.

use std::path::{Path, PathBuf};

use anyflow_plan::FileKind;
use anyflow_plan::order::Order;
use anyflow_plan::plan::{Job, PLAN_FORMAT, Table};
use serde_json::Value;

use super::{open, plugins, table};
use crate::catalog::Plugins;
use crate::compiled::{self, Compiled, Recognised};
use crate::console::{Console, Outcome};
use crate::error::Result;
use crate::order;
use crate::progress::{significant, words};

/// Arguments of `anyflow eval`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Evaluation (YAML)
    evaluation: PathBuf,
    /// Folder for the figures; default `anyflow-eval/NAME`, NAME being that of the evaluation
    #[arg(long)]
    output: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// Arguments of jobs that read named datasets.
#[derive(Debug, clap::Args)]
pub struct Common {
    /// Folder of the datasets that the file names; default the file's own folder
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Value in place of the file's, e.g. denoise.steps=500; may be repeated
    #[arg(long, value_name = "A.B=C")]
    set: Vec<String>,
    /// cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Threads; default all cores
    #[arg(long)]
    threads: Option<u32>,
}

impl Common {
    /// Compiles the file with these choices, and looks whether its datasets have the columns it reads.
    ///
    /// # Errors
    /// See [`Recognised::compile`]; a dataset or column that is missing.
    pub fn compile(&self, file: Recognised, plugins: &Plugins) -> Result<Compiled> {
        let compiled = file.compile(plugins, &self.set, self.data.as_deref())?;
        check_sources(&compiled.job)?;
        Ok(compiled)
    }

    /// The order for the engine.
    ///
    /// # Errors
    /// The current folder is gone.
    pub fn order(&self, mut job: Job, output: &Path) -> Result<Order> {
        compiled::absolute(&mut job);
        Ok(Order {
            format: PLAN_FORMAT,
            job,
            output: order::absolute(output)?,
            inputs: Vec::new(),
            rows: None,
            key: None,
            shard_rows: 1024,
            batch_rows: None,
            max_failures: None,
            device: self.device.clone(),
            threads: order::threads(self.threads),
            trace: None,
        })
    }
}

/// Opens the datasets that a training or evaluation reads (their footers, not their rows) and looks for its columns.
///
/// # Errors
/// A dataset or column that is missing.
pub fn check_sources(job: &Job) -> Result<()> {
    let (sources, tables): (_, Vec<&Table>) = match job {
        Job::Run(_) => return Ok(()),
        Job::Train(plan) => (&plan.sources, plan.data.values().collect()),
        Job::Eval(plan) => (&plan.sources, vec![&plan.data]),
    };
    for (name, paths) in sources {
        let columns: Vec<&str> = tables.iter().flat_map(|table| columns_of(table, name)).collect();
        if !columns.is_empty() {
            let dataset = open(&paths.iter().map(PathBuf::from).collect::<Vec<_>>())?;
            columns.into_iter().try_for_each(|column| dataset.column(column).map(drop))?;
        }
    }
    Ok(())
}

/// Columns that a table reads of a source.
fn columns_of<'a>(table: &'a Table, source: &str) -> Vec<&'a str> {
    let references = table.columns.values().chain(&table.class);
    let mut columns: Vec<&str> = references.filter(|r| r.source == source).map(|r| r.column.as_str()).collect();
    if !columns.is_empty() {
        columns.extend(table.join.as_deref());
    }
    columns
}

/// Checks everything that can be checked, then lets the engine evaluate.
///
/// # Errors
/// What is wrong with files, plugins or the evaluation; a task below what the file asks for.
pub fn run(args: &Args, console: &Console) -> Result<Outcome> {
    let evaluation = Recognised::read(&args.evaluation)?.expect(FileKind::Evaluation)?;
    let compiled = args.common.compile(evaluation, &plugins(console)?)?;
    compiled.warn(console);
    let default = Path::new("anyflow-eval").join(compiled::name_of(&compiled.job).0);
    let output = args.output.as_deref().unwrap_or(&default);
    // Nothing is resumed, so an earlier evaluation in the folder is simply replaced.
    let order = args.common.order(compiled.job, output)?;
    let result = order::execute(&order, console)?;
    let text = format!("{}see it with: anyflow report {}", tasks(&result), output.display());
    Ok(Outcome::done(text, result))
}

/// A line per task: its figures with their spread over the seeds.
fn tasks(result: &Value) -> String {
    let mut rows = vec![vec!["task".to_string(), "figure".into(), "mean".into(), "spread".into()]];
    for (task, figures) in result["tasks"].as_object().into_iter().flatten() {
        for (name, value) in figures.as_object().into_iter().flatten() {
            if let Some(mean) = value["mean"].as_f64() {
                let spread = value["spread"].as_f64().map(|spread| format!("± {}", significant(spread)));
                rows.push(vec![task.clone(), words(name), significant(mean), spread.unwrap_or_default()]);
            }
        }
    }
    if rows.len() == 1 { super::summary(result) } else { table(&rows) }
}
