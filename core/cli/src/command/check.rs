//! `anyflow check`.

mod weights;

use std::path::{Path, PathBuf};

use anyflow_plan::{FileKind, Warning};
use serde_json::json;

use super::run::{Reads, replacement};
use super::{columns, open, plugins, quoted, shown};
use crate::compiled::{self, Recognised, word};
use crate::console::{CommandResult, Console};
use crate::error::{CliError, Result};

/// Arguments of `anyflow check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pipeline, model, training or evaluation (YAML)
    file: PathBuf,
    /// Parquet files or folders of them: also check that their columns fit the pipeline (repeatable)
    #[arg(long, num_args = 1.., value_name = "FILE_OR_DIR")]
    input: Vec<PathBuf>,
    /// Override a value of the file, e.g. joint.sampler.steps=50 (repeatable)
    #[arg(long, value_name = "A.B=C")]
    set: Vec<String>,
    /// Folder of the datasets that a training or evaluation names: also check that they have its columns
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Also compare the weights files with what the model wants, by names and shapes; needs libtorch, and reads no weights
    #[arg(long)]
    weights: bool,
}

/// Reports everything that is wrong with a file.
///
/// # Errors
/// Errors in files, plugins or input columns.
pub fn run(args: &Args, console: &Console) -> Result<CommandResult> {
    let plugins = plugins(console)?;
    let file = Recognised::read(&args.file)?;
    let kind = file.kind;
    fitting(args, kind)?;
    if kind == FileKind::Model {
        let (model, warnings) = file.check_model(&plugins, &args.set, console)?;
        return if args.weights { weights::check(&model, console) } else { good(&args.file, kind, &warnings, &[]) };
    }
    let mut compiled = file.compile(&plugins, &args.set, args.data.as_deref())?;
    compiled.warn(console);
    let mut replaced = Vec::new();
    if !args.input.is_empty() {
        super::run::check(&compiled, &Reads { inputs: &args.input, ..Reads::default() })?;
        replaced = super::run::replaced(&compiled.job, &columns(&open(&args.input)?));
    }
    if args.data.is_some() {
        crate::sources::check(&compiled.job)?;
    }
    if args.weights {
        compiled::absolute(&mut compiled.job);
        return weights::check(compiled::model_of(&compiled.job), console);
    }
    good(&args.file, kind, &compiled.warnings, &replaced)
}

/// Refuses arguments that do not apply to a file of this kind.
fn fitting(args: &Args, kind: FileKind) -> Result<()> {
    let is_job = kind != FileKind::Model;
    let is_pipeline = kind == FileKind::Pipeline;
    let refused = [
        ("--input", !args.input.is_empty() && !is_pipeline, "a pipeline"),
        ("--data", args.data.is_some() && (is_pipeline || !is_job), "a training or evaluation"),
    ];
    match refused.into_iter().find(|(_, refused, _)| *refused) {
        Some((argument, _, wanted)) => {
            Err(CliError::Usage(format!("{argument} applies to {wanted}, but {} is {}", shown(&args.file), word(kind))))
        }
        None => Ok(()),
    }
}

fn good(path: &Path, kind: FileKind, warnings: &[Warning], replaced: &[String]) -> Result<CommandResult> {
    let kind = word(kind);
    let warnings = serde_json::to_value(warnings).map_err(CliError::internal)?;
    let json = json!({
        "file": shown(path), "kind": kind.rsplit(' ').next(), "warnings": warnings, "replaced_columns": replaced,
    });
    let note = |column: &String| format!("\nnote: {}", replacement(column));
    let notes: String = replaced.iter().map(note).collect();
    Ok(CommandResult::done(format!("{}: {kind}, no errors{notes}", quoted(path)), json))
}
