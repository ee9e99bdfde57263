//! `anyflow eval`.

use std::path::{Path, PathBuf};

use anyflow_plan::FileKind;
use anyflow_plan::findings::Findings;
use anyflow_plan::order::Order;
use anyflow_plan::plan::{Job, PLAN_FORMAT};
use serde::Deserialize;

use super::{plugins, quoted};
use crate::catalog::InstalledPlugins;
use crate::compiled::{self, Compiled, Recognised};
use crate::console::{CommandResult, Console};
use crate::error::{CliError, Result};
use crate::progress::Progress;
use crate::report::tables;
use crate::{order, sources};

/// Arguments of `anyflow eval`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Evaluation (YAML)
    evaluation: PathBuf,
    /// Folder for the results [default: anyflow-eval/NAME, NAME from the file]
    #[arg(long)]
    output: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// Arguments of jobs that read the datasets named in their file.
#[derive(Debug, clap::Args)]
pub struct Common {
    /// Folder of the datasets that the file names [default: the file's folder]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Override a value of the file, e.g. denoise.steps=500 (repeatable)
    #[arg(long, value_name = "A.B=C")]
    set: Vec<String>,
    /// Device: cpu, cuda or cuda:N
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
}

impl Common {
    /// Compiles the file, with the overrides `first` before those of the user, and checks that its datasets have the
    /// columns that it reads.
    ///
    /// # Errors
    /// See [`Recognised::compile`]; a dataset or column that is missing.
    pub fn compile(&self, file: Recognised, plugins: &InstalledPlugins, first: &[String]) -> Result<Compiled> {
        let set = [first, &self.set].concat();
        let compiled = file.compile(plugins, &set, self.data.as_deref())?;
        sources::check(&compiled.job)?;
        Ok(compiled)
    }

    /// Makes the order for the engine.
    ///
    /// # Errors
    /// The working directory is gone.
    pub fn order(&self, mut job: Job, output: &Path) -> Result<Order> {
        compiled::absolute(&mut job);
        let output = order::absolute(output)?;
        sources::place(&mut job, Path::new(&output));
        Ok(Order {
            format: PLAN_FORMAT,
            job,
            output,
            inputs: Vec::new(),
            rows: None,
            selection: Default::default(),
            key: None,
            keep: None,
            shard_rows: 1024,
            share: None,
            batch_rows: None,
            max_attempts: None,
            last_death: None,
            max_failures: None,
            device: self.device.clone(),
            threads: order::threads(self.threads),
            readers: None,
            memory_bytes: self.memory,
            timeout_seconds: self.timeout,
            plugins_allowed: order::plugins_allowed()?,
            trace: None,
        })
    }
}

/// Checks the files, then evaluates in the engine.
///
/// Errors in files, plugins or the evaluation; a task below its target.
/// Errors in files, plugins or the evaluation; a task below its target.
pub fn run(args: &Args, console: &Console) -> Result<CommandResult> {
    let evaluation = Recognised::read(&args.evaluation)?.expect(FileKind::Evaluation)?;
    let compiled = args.common.compile(evaluation, &plugins(console)?, &[])?;
    compiled.warn(console);
    let output = match &args.output {
        Some(output) => output.clone(),
        None => Path::new("anyflow-eval").join(compiled::name_of(&compiled.job).0),
    };
    let order = args.common.order(compiled.job, &output)?;
    let result = order::execute(&order, &mut Progress::new(console))?;
    let findings = Findings::deserialize(&result).map_err(CliError::internal)?;
    let text = format!("{}view it with: anyflow report {}", tables::text(&findings), quoted(&output));
    Ok(CommandResult::done(text, result))
}
