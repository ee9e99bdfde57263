//! `anyflow engine`: a long-lived engine for a client in another language, such as the Python package.

use std::path::PathBuf;

use anyflow_plan::plan::PLAN_FORMAT;
use anyflow_plan::service::ServeOrder;

use crate::console::{CommandResult, Console};
use crate::engine::{Launch, execute};
use crate::error::Result;
use crate::order;
use crate::progress::Progress;

/// Arguments of `anyflow engine`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Socket to answer calls on, in a folder that only you can enter
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    #[command(flatten)]
    engine: EngineOptions,
}

/// Options of a long-lived engine.
#[derive(Debug, clap::Args)]
pub struct EngineOptions {
    /// Device: cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Number of threads [default: all cores]
    #[arg(long)]
    pub threads: Option<u32>,
    /// Memory of all loaded models together, e.g. 4G [default: a quarter of the machine's]
    #[arg(long, value_name = "SIZE", value_parser = order::size)]
    pub memory: Option<u64>,
    /// Maximum rows per network call
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_rows: Option<u32>,
    /// Restart the engine if a call into a plugin takes more seconds [default: no limit]
    #[arg(long, value_name = "SECONDS", value_parser = order::seconds)]
    pub timeout: Option<f64>,
}

impl EngineOptions {
    /// The order to serve on a socket.
    ///
    /// # Errors
    /// The list of allowed plugins cannot be used.
    pub fn order(&self, socket: String) -> Result<ServeOrder> {
        Ok(ServeOrder {
            format: PLAN_FORMAT,
            socket,
            device: self.device.clone(),
            threads: order::threads(self.threads),
            memory_bytes: self.memory,
            batch_rows: self.batch_rows,
            timeout_seconds: self.timeout,
            plugins_allowed: order::plugins_allowed()?,
        })
    }
}

/// Runs an engine until it ends.
///
/// # Errors
/// The engine or libtorch is missing; the engine fails or dies.
pub fn run(args: &Args, console: &Console) -> Result<CommandResult> {
    let order = args.engine.order(order::absolute(&args.socket)?)?;
    let launch = Launch { order: &order, arguments: &["serve", "-"], threads: order.threads };
    let result = execute(&launch, &mut Progress::new(console))?;
    Ok(CommandResult::done("the engine has ended", result))
}
