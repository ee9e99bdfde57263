//! `anyflow gc`.

use std::path::PathBuf;
use std::time::Duration;

use anyflow_datasets::{Orphan, remove_orphans};
use serde_json::json;

use super::{bytes, quoted, shown};
use crate::console::CommandResult;
use crate::error::Result;
use crate::escape;

/// Arguments of `anyflow gc`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The --output of a run, or of the commands that write its parts
    output: PathBuf,
    /// In a store, where others may be writing: remove only files that are older than this many hours
    #[arg(long, default_value_t = 24.0, value_name = "N", value_parser = hours)]
    older_than: f64,
}

fn hours(text: &str) -> Result<f64, String> {
    let hours = text.parse().ok().filter(|hours: &f64| (0.0..1e6).contains(hours));
    hours.ok_or_else(|| "expected a number of hours, 0 or more".into())
}

/// Removes what killed processes left in an output: temporary files, and shards without a commit. Nothing else.
///
/// # Errors
/// The folder holds no job; a process writes there; the disk or the store.
pub fn run(args: &Args) -> Result<CommandResult> {
    let removed = remove_orphans(&args.output, Duration::from_secs_f64(args.older_than * 3600.0))?;
    let size: u64 = removed.iter().map(|orphan| orphan.size_bytes).sum();
    let lines = removed
        .iter()
        .map(|Orphan { file, size_bytes }| format!("removed {} ({})\n", escape::line(file), bytes(*size_bytes)));
    let count = if removed.len() == 1 { "1 file".into() } else { format!("{} files", removed.len()) };
    let text = format!(
        "{}{}: {count} without a commit removed, {}",
        lines.collect::<String>(),
        quoted(&args.output),
        bytes(size)
    );
    Ok(CommandResult::done(text, json!({"output": shown(&args.output), "removed": removed, "bytes": size})))
}
