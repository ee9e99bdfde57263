//! `anyflow check`.

use std::path::{Path, PathBuf};

use anyflow_plan::plan::Job;
use anyflow_plan::{FileKind, Source, compile_train};
use serde_json::{Value, json};

use super::{plugins, shown};
use crate::catalog::Plugins;
use crate::compiled::{Recognised, word};
use crate::console::{Console, Outcome};
use crate::error::{CliError, Result};

/// Arguments of `anyflow check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pipeline, model, training or evaluation (YAML)
    file: PathBuf,
    /// Parquet files, or folders that hold some: checks that their columns fit the pipeline
    #[arg(long, num_args = 1.., value_name = "FILE_OR_DIR")]
    input: Vec<PathBuf>,
    /// Value in place of the file's, e.g. joint.sampler.steps=50; may be repeated
    #[arg(long, value_name = "A.B=C")]
    set: Vec<String>,
    /// Folder of the datasets that a training or evaluation names: checks that they have its columns
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Finds everything that is wrong with a file.
///
/// # Errors
/// What is wrong with files, plugins or input columns.
pub fn run(args: &Args, console: &Console) -> Result<Outcome> {
    let plugins = plugins(console)?;
    let file = Recognised::read(&args.file)?;
    let kind = file.kind;
    if !args.input.is_empty() && kind != FileKind::Pipeline {
        return Err(CliError::Usage(format!(
            "--input goes with a pipeline, but {} is {}",
            shown(&args.file),
            word(kind)
        )));
    }
    if kind == FileKind::Model {
        return model(&file.source, &plugins, &args.file);
    }
    let compiled = file.compile(&plugins, &args.set, args.data.as_deref())?;
    compiled.warn(console);
    if let (Job::Run(plan), false) = (&compiled.job, args.input.is_empty()) {
        super::run::check(plan, &args.input, None, None)?;
    }
    if args.data.is_some() {
        super::eval::check_sources(&compiled.job)?;
    }
    let warnings = serde_json::to_value(&compiled.warnings).map_err(CliError::internal)?;
    Ok(good(&args.file, kind, warnings))
}

/// A model is only complete together with a file that uses it; what can be wrong with it alone is found through one.
fn model(source: &Source, plugins: &Plugins, path: &Path) -> Result<Outcome> {
    let around = Source::new("(around the model)", "anyflow: 1\nname: check\nmodel: model.yaml\nstages: {}\n");
    let found = match compile_train(&around, source, &plugins.catalog(), &[], None) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().filter(|error| error.place.file == source.path).map(ToString::to_string).collect(),
    };
    if found.is_empty() { Ok(good(path, FileKind::Model, json!([]))) } else { Err(CliError::Usage(found.join("\n"))) }
}

fn good(path: &Path, kind: FileKind, warnings: Value) -> Outcome {
    let kind = word(kind);
    let json = json!({"file": path, "kind": kind.rsplit(' ').next(), "warnings": warnings});
    Outcome::done(format!("{}: {kind} without errors", shown(path)), json)
}
