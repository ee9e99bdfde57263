//! `anyflow run --sweep`: a pipeline with several values of some keys, each combination in a folder of its own.

mod combinations;

use std::path::Path;

use anyflow_datasets::MANIFEST_FILE;
use anyflow_plan::resolved_files;
use serde_json::{Value, json};

use super::{Args, check, compile, order_of};
use crate::attempts;
use crate::catalog::InstalledPlugins;
use crate::combination::Combination;
use crate::command::{shown, table};
use crate::compiled::Compiled;
use crate::console::{CommandResult, Console};
use crate::error::{CliError, Result};
use crate::order;
use crate::progress::{Progress, figure};
use crate::supervise::EngineFailure;
use combinations::combinations;

/// Present in the folder of every job that began.
const JOB_FILE: &str = "job.json";

/// A combination with its own run.
struct Planned {
    combination: Combination,
    args: Args,
    /// The run, or why it cannot begin.
    compiled: Result<Compiled>,
}

/// Runs all combinations, one after the other. One that fails does not stop the others.
///
/// # Errors
/// Wrong options; errors that every combination has before it begins; Ctrl-C.
pub(super) fn run(args: &Args, plugins: &InstalledPlugins, console: &Console) -> Result<CommandResult> {
    if args.output.join(JOB_FILE).exists() {
        let output = shown(&args.output);
        return Err(CliError::Usage(format!(
            "{output} holds the output of a job; choose another --output for a sweep"
        )));
    }
    let mut planned: Vec<Planned> =
        combinations(args)?.into_iter().map(|combination| Planned::new(combination, args, plugins)).collect();
    if planned.iter().all(|planned| planned.compiled.is_err()) {
        let first = planned.swap_remove(0);
        return Err(first.compiled.err().unwrap_or_else(|| CliError::internal("a sweep without combinations")));
    }
    let count = planned.len();
    let mut ends = Vec::with_capacity(count);
    for (index, planned) in planned.into_iter().enumerate() {
        console.note(&format!("combination {} of {count}: {}", index + 1, planned.combination.folder_name()));
        ends.push(planned.execute(console)?);
    }
    Ok(conclude(&args.output, &ends))
}

impl Planned {
    fn new(combination: Combination, sweep: &Args, plugins: &InstalledPlugins) -> Self {
        let own = combination.set.iter().map(|(path, value)| format!("{path}={value}"));
        let args = Args {
            set: sweep.set.iter().cloned().chain(own).collect(),
            output: sweep.output.join(combination.folder_name()),
            sweep: Vec::new(),
            sweep_zip: false,
            ..sweep.clone()
        };
        let compiled = compile(&args, plugins).and_then(|compiled| {
            check(&compiled, &args.reads())?;
            Ok(compiled)
        });
        Planned { combination, args, compiled }
    }

    /// Runs the combination and keeps its error, if it fails.
    fn execute(self, console: &Console) -> Result<End> {
        let Planned { mut combination, args, compiled } = self;
        combination.write(&args.output)?;
        let result = compiled.and_then(|compiled| one(&args, compiled, console));
        if let Err(CliError::Engine(EngineFailure::Interrupted)) = result {
            return Err(EngineFailure::Interrupted.into());
        }
        if let Err(error) = &result {
            console.note(&error.render(console.color));
            combination.error = Some(error.json()["error"].take());
            // A finished run stays as it is, and so does what its folder says of it.
            if !args.output.join(MANIFEST_FILE).exists() {
                combination.write(&args.output)?;
            }
        }
        Ok(End { combination, result })
    }
}

/// Runs one combination, with the files that repeat it alone beside its output.
fn one(args: &Args, compiled: Compiled, console: &Console) -> Result<Value> {
    compiled.warn(console);
    // The files of a job that began are kept: the engine refuses to continue a job that differs.
    if !args.output.join(JOB_FILE).exists() {
        write_files(&args.output, &compiled)?;
    }
    let order = order_of(args, compiled.job, std::slice::from_ref(&args.device), console)?;
    attempts::execute(&order, console, || Progress::new(console))
}

fn write_files(output: &Path, compiled: &Compiled) -> Result<()> {
    let [pipeline, model, ..] = compiled.sources.as_slice() else {
        return Err(CliError::internal("a pipeline without a model"));
    };
    let folder = order::absolute(Path::new("."))?;
    let files = resolved_files(pipeline, model, &compiled.overrides, &folder);
    let files = files.map_err(|errors| CliError::plan(errors, compiled.sources.clone()))?;
    files.iter().try_for_each(|file| order::write_whole(&output.join(file.name), file.text.as_bytes()))
}

/// How a combination ended.
struct End {
    combination: Combination,
    result: Result<Value>,
}

impl End {
    fn json(&self) -> Value {
        let mut json = json!({"folder": self.combination.folder_name(), "set": self.combination.set});
        match (&self.result, &self.combination.error) {
            (Ok(result), _) => json["result"] = result.clone(),
            (Err(_), error) => json["error"] = json!(error),
        }
        json
    }

    /// A line of the table.
    fn line(&self) -> Vec<String> {
        let mut line = vec![self.combination.folder_name()];
        match &self.result {
            Ok(result) => line.extend(FIGURES.map(|name| figure(&result[name]).unwrap_or_default())),
            Err(error) => line.push(format!("failed: {}", error.to_string().lines().next().unwrap_or_default())),
        }
        line
    }
}

/// Figures of a run in the table.
const FIGURES: [&str; 4] = ["rows", "failed", "seconds", "rows_per_second"];

fn conclude(output: &Path, ends: &[End]) -> CommandResult {
    let head = ["combination", "rows", "failed", "seconds", "rows/s"].map(String::from).to_vec();
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(ends.iter().map(End::line)).collect();
    let errors: Vec<&CliError> = ends.iter().filter_map(|end| end.result.as_ref().err()).collect();
    let combinations: Vec<Value> = ends.iter().map(End::json).collect();
    let output = shown(output);
    let failed = match errors.len() {
        0 => String::new(),
        count => format!("{count} of {} combinations failed; run the same command again to repeat them\n", ends.len()),
    };
    CommandResult {
        text: format!("{}{failed}compare them with: anyflow report {output}", table(&lines)),
        json: json!({"output": output, "failed": errors.len(), "combinations": combinations}),
        code: errors.first().map_or(0, |error| error.exit_code()),
    }
}
