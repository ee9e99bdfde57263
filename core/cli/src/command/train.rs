//! `anyflow train`.

use std::path::PathBuf;

use anyflow_plan::FileKind;

use super::{plugins, shown, summary};
use crate::compiled::Recognised;
use crate::console::{CommandResult, Console};
use crate::error::Result;
use crate::order;

/// Arguments of `anyflow train`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Training (YAML)
    training: PathBuf,
    /// Folder for checkpoints and metrics; run the same command again to resume
    #[arg(long)]
    output: PathBuf,
    /// Random seed, as --set seed=N [default: the file's seed, or 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    common: super::eval::Common,
}

/// Checks the files, then trains in the engine.
///
/// # Errors
/// Errors in files, plugins or the training.
pub fn run(args: &Args, console: &Console) -> Result<CommandResult> {
    let training = Recognised::read(&args.training)?.expect(FileKind::Training)?;
    let seed = args.seed.map(|seed| format!("seed={seed}"));
    let compiled = args.common.compile(training, &plugins(console)?, seed.as_slice())?;
    compiled.warn(console);
    let order = args.common.order(compiled.job, &args.output)?;
    let result = order::execute(&order, console)?;
    let text = format!("{}view it with: anyflow report {}", summary(&result), shown(&args.output));
    Ok(CommandResult::done(text, result))
}
