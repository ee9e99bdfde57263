//! The order: handed to the engine, which keeps it in the output folder, where `report` reads it.

use std::io::Write;
use std::path::Path;

use anyflow_plan::order::Order;
use anyflow_plan::plan::Job;
use serde_json::Value;

use crate::allow;
use crate::catalog::CatalogError;
use crate::console::Console;
use crate::engine;
use crate::error::{CliError, Result};
use crate::paths;
use crate::progress::Progress;
use crate::supervise::EngineError;

/// Its file inside the output folder.
pub const ORDER_FILE: &str = "order.json";
/// The file that ends the output of a run.
const MANIFEST_FILE: &str = "manifest.json";

/// The order in a folder, if there is one that this program can read.
pub fn read(folder: &Path) -> Option<Order> {
    serde_json::from_slice(&std::fs::read(folder.join(ORDER_FILE)).ok()?).ok()
}

/// Lets the engine do what an order says; the value is the engine's result. Only the engine writes to the output folder:
/// it holds the lock, and it knows what the folder holds.
///
/// # Errors
/// There is no engine or libtorch, the engine fails, or the end of the output is not there.
pub fn execute(order: &Order, console: &Console) -> Result<Value> {
    let task = engine::Task { order, arguments: &["-"], threads: order.threads };
    let result = engine::execute(&task, &mut Progress::new(console))?;
    let manifest = Path::new(&order.output).join(MANIFEST_FILE);
    if matches!(order.job, Job::Run(_)) && !manifest.is_file() {
        return Err(EngineError::Unproven { path: manifest }.into());
    }
    Ok(result)
}

/// Writes a file so that it is there as a whole or not at all.
///
/// # Errors
/// [`CliError::Write`].
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || {
        let mut file = tempfile::Builder::new().prefix(".").suffix(".tmp").tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        readable(file.as_file())?;
        file.persist(path).map(drop).map_err(|error| error.error)
    };
    write().map_err(CliError::write(path))
}

/// Temporary files are the user's alone; what they become is as readable as any other file.
#[cfg(unix)]
fn readable(file: &std::fs::File) -> std::io::Result<()> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_file: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

/// As many threads as the machine has, unless the user says otherwise.
pub fn threads(asked: Option<u32>) -> u32 {
    let all = || std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1));
    asked.unwrap_or_else(all).max(1)
}

/// Hashes of the only plugin files that the engine may load, if the user keeps a list.
///
/// # Errors
/// The list cannot be used.
pub fn plugins_allowed() -> Result<Option<Vec<String>>> {
    let hashes = allow::hashes().map_err(CatalogError::from)?;
    Ok(hashes.map(|hashes| hashes.into_iter().collect()))
}

/// A time in seconds, as an argument.
///
/// # Errors
/// It is no number above zero.
pub fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds > 0.0);
    seconds.ok_or_else(|| "a number of seconds above 0 is wanted".into())
}

/// An absolute path, so that an order means the same wherever it is read.
///
/// # Errors
/// The current folder is gone, or the path is empty or no text.
pub fn absolute(path: &Path) -> Result<String> {
    paths::text(&std::path::absolute(path).map_err(CliError::read(path))?)
}
