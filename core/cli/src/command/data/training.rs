//! `anyflow data verify` for the output of a training.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{bytes, counted, quoted};
use crate::console::CommandResult;
use crate::error::{CliError, Result};
use crate::escape;

/// The file that records a training.
pub(super) const RECORD: &str = "training.json";
/// Folders of weights files within the output.
const PLACES: [&str; 2] = ["", "stages"];
/// Endings of weights files.
const ENDINGS: [&str; 2] = ["safetensors", "state"];
/// Exit code for damaged weights.
const DAMAGED: u8 = 1;

/// Reads every weights file in full and compares it with the hash that it carries.
pub(super) fn run(folder: &Path) -> Result<CommandResult> {
    let mut size = 0;
    let mut damaged = Vec::new();
    let files = files(folder)?;
    for file in &files {
        size += std::fs::metadata(file).map_err(CliError::read(file))?.len();
        let reason = match anyflow_weights::verify(file) {
            Ok(summary) if summary.proven => continue,
            Ok(_) => "carries no hash, so it cannot be verified".to_string(),
            Err(error) => error.to_string(),
        };
        damaged.push((file.strip_prefix(folder).unwrap_or(file).display().to_string(), reason));
    }
    let code = if damaged.is_empty() { 0 } else { DAMAGED };
    let found: Vec<_> = damaged.iter().map(|(file, reason)| json!({"file": file, "reason": reason})).collect();
    let json = json!({"folder": folder, "good": code == 0, "files": files.len(), "bytes": size, "damaged": found});
    Ok(CommandResult { text: rendered(folder, files.len() as u64, size, &damaged), json, code })
}

fn rendered(folder: &Path, files: u64, size: u64, damaged: &[(String, String)]) -> String {
    let read = format!("{} of weights, {} read", counted(files, "file"), bytes(size));
    if damaged.is_empty() {
        return format!("{}: good ({read})", quoted(folder));
    }
    let lines: String =
        damaged.iter().map(|(file, reason)| format!("  {}\n", escape::line(&format!("{file}: {reason}")))).collect();
    let remedy = "Restore these files from a copy, or move them away and run the same command again.";
    format!("{}: damaged ({}; {read})\n{lines}{remedy}", quoted(folder), counted(damaged.len() as u64, "finding"))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for place in PLACES.map(|place| folder.join(place)) {
        for entry in std::fs::read_dir(&place).map_err(CliError::read(&place))? {
            let path = entry.map_err(CliError::read(&place))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let ending = path.extension().unwrap_or_default();
            if !name.starts_with('.') && ENDINGS.iter().any(|known| ending == *known) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
