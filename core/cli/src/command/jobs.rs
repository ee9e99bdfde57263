//! `anyflow jobs`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyflow_datasets::{PartProgress, ShardAttempts, is_address, job_progress};
use serde_json::{Value, json};

use super::table;
use crate::console::CommandResult;
use crate::error::Result;
use crate::escape;

/// Arguments of `anyflow jobs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The --output of a run, or of the commands that write its parts
    output: PathBuf,
}

/// Shows how far a job and each of its parts are, who works on them, and why rows failed. Changes nothing.
///
/// # Errors
/// The folder holds no job, or cannot be read.
pub fn run(args: &Args) -> Result<CommandResult> {
    let parts = job_progress(&args.output)?;
    let failed = failures(&parts);
    let mut text = table(&rows(&parts, is_address(&args.output)));
    let tries = parts.iter().flat_map(|part| &part.tries).map(|tried| (tried.shard, tried));
    // In a store, the whole job and its part both count a shard.
    for ShardAttempts { shard, attempts, error } in tries.collect::<BTreeMap<_, _>>().into_values() {
        let error = error.as_ref().map(|error| format!(", the last: {}", escape::line(error))).unwrap_or_default();
        text.push_str(&format!("shard {shard} is not committed; attempts: {attempts}{error}\n"));
    }
    failed
        .iter()
        .for_each(|(code, count)| text.push_str(&format!("failed: {count} rows with {}\n", escape::line(code))));
    let json = json!({"parts": parts.iter().map(described).collect::<Vec<_>>(), "failed": failed});
    Ok(CommandResult::done(text.trim_end(), json))
}

fn rows(parts: &[PartProgress], in_store: bool) -> Vec<Vec<String>> {
    let head = ["part", "state", "shards", "rows", "failed", "attempts"].map(String::from).to_vec();
    let row = |part: &PartProgress| {
        let name = if part.name.is_empty() { "(whole)" } else { &part.name };
        let failed: u64 = part.failed.values().sum();
        let numbers = [part.shards, part.rows, failed, part.attempts].map(|number| number.to_string());
        [vec![name.to_string(), state(part, in_store)], numbers.to_vec()].concat()
    };
    std::iter::once(head).chain(parts.iter().map(row)).collect()
}

fn state(part: &PartProgress, in_store: bool) -> String {
    match (&part.holder, part.is_complete) {
        // A store does not know whether a process has ended.
        (Some(holder), _) if in_store => format!("begun by {holder}"),
        (Some(holder), _) => format!("running: {holder}"),
        (None, true) => "complete".into(),
        (None, false) if in_store => "not complete".into(),
        (None, false) => "stopped; the same command resumes it".into(),
    }
}

fn failures(parts: &[PartProgress]) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for (code, count) in parts.iter().flat_map(|part| &part.failed) {
        *found.entry(code.clone()).or_default() += count;
    }
    found
}

fn described(part: &PartProgress) -> Value {
    let PartProgress { name, holder, is_complete, shards, rows, failed, attempts, tries } = part;
    json!({
        "part": name, "holder": holder, "complete": is_complete, "shards": shards, "rows": rows, "failed": failed,
        "attempts": attempts, "tries": tries,
    })
}
