//! `anyflow report`.

use std::path::PathBuf;

use serde_json::json;

use super::{bytes, shown};
use crate::console::CommandResult;
use crate::error::Result;
use crate::{order, report};

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
    order::write_whole(&path, page.html.as_bytes())?;
    let size = page.html.len() as u64;
    let json = json!({"report": shown(&path), "sections": page.sections, "size_bytes": size});
    Ok(CommandResult::done(format!("{} ({})", shown(&path), bytes(size)), json))
}
