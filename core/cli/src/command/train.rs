//! `anyflow train`.

mod rehearsal;

use std::path::{Path, PathBuf};

use anyflow_plan::FileKind;
use anyflow_plan::order::Order;
use anyflow_plan::plan::Job;

use super::{plugins, quoted, summary};
use crate::compiled::Recognised;
use crate::console::{CommandResult, Console};
use crate::error::Result;
use crate::order;
use crate::progress::Progress;

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
    /// Train a few steps of each stage, print steps/s, memory, time and the rows left out, and write nothing
    #[arg(long)]
    rehearse: bool,
    /// Steps of each stage of a rehearsal
    #[arg(long, value_name = "N", default_value_t = 20, requires = "rehearse", value_parser = clap::value_parser!(u64).range(2..))]
    steps: u64,
    /// Threads that encode rows; the weights do not depend on it [default: as --threads]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    readers: Option<u32>,
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
    if args.rehearse {
        return rehearsal::run(args, compiled, args.steps, console);
    }
    let order = args.order(compiled.job, &args.output)?;
    let result = order::execute(&order, &mut Progress::new(console))?;
    let text = format!("{}view it with: anyflow report {}", summary(&result), quoted(&args.output));
    Ok(CommandResult::done(text, result))
}

impl Args {
    /// Makes the order for the engine.
    fn order(&self, job: Job, output: &Path) -> Result<Order> {
        Ok(Order { readers: self.readers, ..self.common.order(job, output)? })
    }
}
