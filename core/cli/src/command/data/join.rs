//! `anyflow data join`.

use std::path::{Path, PathBuf};

use anyflow_datasets::join;
use serde_json::json;

use super::{counted, lost, open, quoted, renamed, shown, writable};
use crate::console::CommandResult;
use crate::error::Result;

/// Joins two datasets by a key.
pub(super) fn run(sides: [&PathBuf; 2], on: &str, output: &Path) -> Result<CommandResult> {
    writable(output, sides)?;
    let [a, b] = sides.map(|path| open(std::slice::from_ref(path)));
    let joined = join(&a?, &b?, on, output)?;
    let unmatched = match (joined.unmatched_a, joined.unmatched_b) {
        (0, 0) => String::new(),
        (a, b) => format!("; without a partner: {} of the first dataset, {b} of the second", counted(a, "row")),
    };
    let (renamed, lost) = (renamed(&joined.renamed), lost(&joined.lost));
    let text = format!("{}: {}{unmatched}{renamed}{lost}", quoted(output), counted(joined.rows, "row"));
    let json = json!({
        "output": shown(output), "rows": joined.rows, "unmatched_a": joined.unmatched_a, "unmatched_b": joined.unmatched_b,
        "renamed": joined.renamed,
        "unreadable": joined.lost.unreadable, "reason": joined.lost.reason,
    });
    Ok(CommandResult::done(text, json))
}
