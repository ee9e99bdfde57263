//! `anyflow data verify`.

use std::path::Path;

use anyflow_datasets::{DatasetError, Manifest, Verification, is_there};
use serde_json::json;

use super::{bytes, counted, quoted, training};
use crate::console::CommandResult;
use crate::error::{CliError, Result};
use crate::escape;

/// The record of a job. Unlike the manifest, it exists from the start.
const BEGUN: &str = "job.json";
/// Exit code for a damaged output.
const DAMAGED: u8 = 1;

/// Compares all files of an output with its manifest.
pub(super) fn run(folder: &Path) -> Result<CommandResult> {
    if folder.join(training::RECORD).exists() {
        return training::run(folder);
    }
    let manifest = match Manifest::read(folder) {
        Err(DatasetError::Missing { .. }) => return Err(without_manifest(folder)),
        other => other?,
    };
    let found = manifest.verify(folder)?;
    let code = if found.damaged.is_empty() { 0 } else { DAMAGED };
    let json = json!({
        "folder": folder, "good": code == 0, "rows": manifest.rows, "failed": manifest.failures, "files": found.files,
        "bytes": found.bytes, "damaged": found.damaged,
    });
    Ok(CommandResult { text: rendered(folder, &manifest, &found), json, code })
}

fn rendered(folder: &Path, manifest: &Manifest, found: &Verification) -> String {
    let read = format!("{}, {} read", counted(found.files, "file"), bytes(found.bytes));
    if found.damaged.is_empty() {
        let rows = counted(manifest.rows, "row");
        return format!("{}: good ({rows}, {} failed; {read})", quoted(folder), manifest.failures);
    }
    let lines = found
        .damaged
        .iter()
        .map(|damage| format!("  {}\n", escape::line(&format!("{}: {}", damage.file, damage.reason))));
    let damaged = counted(found.damaged.len() as u64, "finding");
    let lines = lines.collect::<String>();
    let remedy = "Restore these files from a copy, or delete them and run the same command again.";
    format!("{}: damaged ({damaged}; {read})\n{lines}{remedy}", quoted(folder))
}

fn without_manifest(folder: &Path) -> CliError {
    if is_there(&folder.join(BEGUN)).unwrap_or(false) {
        return DatasetError::Unfinished { path: folder.to_path_buf() }.into();
    }
    CliError::Usage(format!(
        "{}: has no manifest.json; name the output folder of a finished run or a training",
        quoted(folder)
    ))
}
