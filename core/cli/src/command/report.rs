//! `anyflow report`.

use std::path::PathBuf;

use serde_json::json;

use super::{bytes, quoted, shown};
use crate::console::CommandResult;
use crate::error::{CliError, Result};
use crate::{order, regular, report};

/// The start of every page.
const START: &str = "<!DOCTYPE html>";

/// Arguments of `anyflow report`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Output folder of a run, training or evaluation, or a folder of several such folders
    folder: PathBuf,
    /// Number of rows shown per dataset
    #[arg(long, default_value_t = 48)]
    rows: u64,
    /// File to write [default: report.html in the folder]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes the page.
///
/// # Errors
/// Nothing to report, or the page cannot be written.
pub fn run(args: &Args) -> Result<CommandResult> {
    let page = report::page(&args.folder, args.rows)?;
    let path = args.output.clone().unwrap_or_else(|| args.folder.join("report.html"));
    regular::ensure_ours(&path, START.as_bytes()).map_err(CliError::write(&path))?;
    order::write_whole(&path, page.html.as_bytes())?;
    let size = page.html.len() as u64;
    let json = json!({"report": shown(&path), "sections": page.sections, "size_bytes": size});
    Ok(CommandResult::done(format!("{} ({})", quoted(&path), bytes(size)), json))
}
