//! `--on`: a cluster does the shards of a job, and this program makes one output of them.

use std::path::PathBuf;
use std::process::Command;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyflow_datasets::{DatasetError, MANIFEST_FILE, is_there};
use anyflow_plan::order::Order;
use serde_json::Value;

use super::super::finish;
use super::Args;
use crate::console::{CommandResult, Console};
use crate::engine;
use crate::error::{CliError, Result};
use crate::order;
use crate::progress::Progress;
use crate::supervise::supervise;

/// Gives the shards out.
const PROGRAM: &str = "anyflow-cluster";
/// Names another program.
const VARIABLE: &str = "ANYFLOW_CLUSTER";
/// On many machines some engine dies some day, so a shard is tried again unless the user says otherwise.
const MAX_ATTEMPTS: u64 = 3;
/// Calls of the cluster for shards that turn out to be missing when the job is finished.
const ROUNDS: u32 = 3;
/// Time in which workers end their parts.
const ENDING: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);

/// A cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Host and port of its scheduler.
    scheduler: String,
}

impl FromStr for Cluster {
    type Err = String;

    /// Parses `ballista=HOST:PORT`.
    fn from_str(text: &str) -> Result<Self, String> {
        let scheduler = text.strip_prefix("ballista=").unwrap_or_default();
        let is_address = |(host, port): (&str, &str)| !host.is_empty() && port.parse::<u16>().is_ok();
        match scheduler.rsplit_once(':').filter(|address| is_address(*address)) {
            Some(_) => Ok(Cluster { scheduler: scheduler.into() }),
            None => Err("expected ballista=HOST:PORT, such as ballista=10.0.0.1:50050".into()),
        }
    }
}

/// Has a cluster do the shards of an order, and makes one output of them.
///
/// # Errors
/// The program that gives the shards out is missing or fails; errors of `anyflow finish`.
pub fn run(args: &Args, order: &Order, on: &Cluster, console: &Console) -> Result<CommandResult> {
    if is_there(&args.output.join(MANIFEST_FILE))? {
        // One engine compares the job with the one that is finished.
        order::execute(order, &mut Progress::new(console))?;
        return finish::gathered(&args.output);
    }
    for _ in 1..ROUNDS {
        give_out(order, on, console)?;
        match finished(args) {
            Err(CliError::Dataset(error @ DatasetError::Incomplete { .. })) => console.warn(&error.to_string()),
            other => return other,
        }
    }
    give_out(order, on, console)?;
    finished(args)
}

fn give_out(order: &Order, on: &Cluster, console: &Console) -> Result<Value> {
    let order = Order { max_attempts: order.max_attempts.or(Some(MAX_ATTEMPTS)), ..order.clone() };
    let mut command = Command::new(find()?);
    command.args(["run", "--scheduler", &on.scheduler, "-"]);
    Ok(supervise(command, engine::input(&order, std::iter::empty())?, &mut Progress::new(console))?)
}

/// Finishes the job, once the workers have let go of their parts.
fn finished(args: &Args) -> Result<CommandResult> {
    let begin = Instant::now();
    loop {
        match finish::gathered(&args.output) {
            Err(CliError::Dataset(DatasetError::Busy { .. })) if begin.elapsed() < ENDING => std::thread::sleep(PAUSE),
            other => return other,
        }
    }
}

/// The program: the one that a variable names, else the one next to this program.
fn find() -> Result<PathBuf> {
    let named = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let beside = || std::env::current_exe().unwrap_or_default().with_file_name(PROGRAM);
    let path = named.unwrap_or_else(beside);
    if path.is_file() {
        return Ok(path);
    }
    Err(CliError::Usage(format!(
        "no {PROGRAM} at {}, which --on needs; build it with `cargo build --package {PROGRAM}`, or set {VARIABLE} to its path",
        path.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_has_a_host_and_a_port() {
        let cluster: Cluster = "ballista=10.0.0.1:50050".parse().unwrap();
        assert_eq!(cluster.scheduler, "10.0.0.1:50050");
        for text in ["", "10.0.0.1:50050", "ballista=", "ballista=host", "ballista=:5", "ballista=host:x", "ray=host:5"]
        {
            assert!(text.parse::<Cluster>().is_err(), "{text}");
        }
    }
}
