//! `anyflow plan`.

use std::path::PathBuf;

use anyflow_plan::{FileKind, Format, explain};
use clap::ValueEnum;

use super::plugins;
use super::run::compile_pipeline;
use crate::compiled::Recognised;
use crate::console::{CommandResult, Console};
use crate::error::{CliError, Result};
use crate::escape;

/// Arguments of `anyflow plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pipeline, training or evaluation (YAML)
    file: PathBuf,
    /// Output format
    #[arg(long, value_enum, default_value_t = Shape::Text)]
    format: Shape,
    /// Print all options, not only those that differ from their defaults
    #[arg(long)]
    all: bool,
    /// Override a value of the file, e.g. joint.sampler.steps=50 (repeatable)
    #[arg(long, value_name = "A.B=C")]
    set: Vec<String>,
    /// Seed of a pipeline's noise, in place of the file's seeds, as for `anyflow run`
    #[arg(long, value_name = "N", conflicts_with = "data")]
    seed: Option<u64>,
    /// Folder of the datasets that a training or evaluation names [default: the file's folder]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Formats of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shape {
    /// Text
    Text,
    /// The plan that the engine receives
    Json,
    /// A mermaid flow chart
    Mermaid,
    /// An SVG image
    Svg,
}

/// Prints the plan.
///
/// # Errors
/// Errors in files or plugins.
pub fn run(args: &Args, console: &Console) -> Result<CommandResult> {
    let file = Recognised::read(&args.file)?;
    if file.kind == FileKind::Model {
        return Err(CliError::Usage(format!("{} is a model; name a pipeline that uses it", args.file.display())));
    }
    let plugins = plugins(console)?;
    let compiled = match args.seed {
        Some(_) => compile_pipeline(file, &args.set, args.seed, &plugins)?,
        None => file.compile(&plugins, &args.set, args.data.as_deref())?,
    };
    compiled.warn(console);
    let catalog = plugins.catalog();
    let format = match args.format {
        Shape::Text if args.all => Format::Full,
        Shape::Text => Format::Text(&catalog),
        Shape::Json => Format::Json,
        Shape::Mermaid => Format::Mermaid,
        Shape::Svg => Format::Svg,
    };
    let json = serde_json::to_value(&compiled.job).map_err(CliError::internal)?;
    let text = explain(&compiled.job, format);
    let text = if args.format == Shape::Json { escape::json(&text).into_owned() } else { text };
    Ok(CommandResult::done(text, json))
}
