//! `anyflow finish`.

use std::path::{Path, PathBuf};

use anyflow_datasets::{FAILURES_FILE, Gathering, gather, is_address};
use anyflow_plan::order::Order;
use serde_json::{Value, json};

use super::{shown, summary};
use crate::console::CommandResult;
use crate::error::{CliError, Result};
use crate::order::{self, ORDER_FILE};

/// The provenance of a run, which the engine writes.
const PROVENANCE_FILE: &str = "run.json";
/// Exit code for a job of which every row failed.
const ALL_FAILED: u8 = 1;

/// Arguments of `anyflow finish`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The --output of the commands that wrote the parts
    output: PathBuf,
    /// Refuse the job if more rows failed in all its parts [default: the smallest --max-failures of the parts]
    #[arg(long, value_name = "N")]
    max_failures: Option<u64>,
}

/// Puts the parts of a job together: shards, failures, manifest. Parts that are taken over are removed.
///
/// # Errors
/// Shards are missing; a part is still written; the parts are of different jobs; more rows failed than allowed; the disk.
pub fn run(args: &Args) -> Result<CommandResult> {
    finished(&args.output, args.max_failures)
}

/// Puts the parts of the job at `output` together.
///
/// # Errors
/// As [`run`].
pub fn gathered(output: &Path) -> Result<CommandResult> {
    finished(output, None)
}

fn finished(output: &Path, max_failures: Option<u64>) -> Result<CommandResult> {
    let gathering = gather(output)?;
    gathering.take()?;
    check_failures(&gathering, max_failures)?;
    keep_order(&gathering, output)?;
    keep_provenance(&gathering)?;
    let manifest = gathering.finish()?;
    let result = json!({
        "rows": manifest.rows,
        "failed": manifest.failures,
        "shards": manifest.shards.len(),
        "output": shown(output),
    });
    let code = if manifest.rows == 0 && manifest.failures > 0 { ALL_FAILED } else { 0 };
    let command = if is_address(output) { "data head" } else { "report" };
    let view = format!("view it with: anyflow {command} {}", shown(output));
    Ok(CommandResult { text: format!("{}{view}", summary(&result)), json: result, code })
}

/// Fails if more rows failed in all parts than allowed: each part counted its own alone. The reasons are on disk before this
/// returns.
fn check_failures(gathering: &Gathering, allowed: Option<u64>) -> Result<()> {
    let orders = gathering.read_all(ORDER_FILE)?;
    let limits = orders.iter().filter_map(|order| serde_json::from_slice::<Order>(order).ok()?.max_failures);
    let (_, failed) = gathering.output().progress();
    let Some(allowed) = allowed.or(limits.min()).filter(|allowed| failed > *allowed) else { return Ok(()) };
    gathering.output().write_failures()?;
    let path = gathering.output().path().join(FAILURES_FILE);
    Err(CliError::TooManyFailures { failed, allowed, path })
}

/// Writes the order as that of the whole job, for `anyflow report`.
fn keep_order(gathering: &Gathering, output: &Path) -> Result<()> {
    let Some(content) = gathering.read(ORDER_FILE)? else { return Ok(()) };
    let part: Order = serde_json::from_slice(&content).map_err(CliError::internal)?;
    let order = Order { output: order::absolute(output)?, share: None, ..part };
    let value = serde_json::to_value(order).map_err(CliError::internal)?;
    Ok(gathering.output().write(ORDER_FILE, &text(&value)?)?)
}

/// Writes the provenance of a part as that of the whole job: all parts have the same, but for their results.
fn keep_provenance(gathering: &Gathering) -> Result<()> {
    let Some(content) = gathering.read(PROVENANCE_FILE)? else { return Ok(()) };
    let mut provenance: Value = serde_json::from_slice(&content).map_err(CliError::internal)?;
    let (rows, failed) = gathering.output().progress();
    provenance["result"] = json!({"rows": rows, "failed": failed});
    Ok(gathering.output().write(PROVENANCE_FILE, &text(&provenance)?)?)
}

fn text(value: &Value) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).map_err(CliError::internal)
}
