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

/// The file that ends the output of a job.
fn end_of(job: &Job) -> &'static str {
    match job {
        Job::Run(_) => "manifest.json",
        Job::Train(_) => "train.json",
        Job::Eval(_) => "eval.json",
    }
}

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
    let end = Path::new(&order.output).join(end_of(&order.job));
    if end.is_file() { Ok(result) } else { Err(EngineError::Unproven { path: end }.into()) }
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

/// A size in bytes, as an argument: `800M`, `4G`, or a plain number of bytes.
///
/// # Errors
/// It is none.
pub fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 4] = [("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40)];
    let unit = UNITS.into_iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, bytes)));
    let (number, bytes) = unit.unwrap_or((text, 1));
    let size = number.parse::<u64>().ok().and_then(|number| number.checked_mul(bytes)).filter(|size| *size > 0);
    size.ok_or_else(|| "a size is wanted: a whole number with K, M, G or T behind it, as in 800M or 4G".into())
}

/// An absolute path, so that an order means the same wherever it is read.
///
/// # Errors
/// The current folder is gone, or the path is empty or no text.
pub fn absolute(path: &Path) -> Result<String> {
    paths::text(&std::path::absolute(path).map_err(CliError::read(path))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_with_a_unit() {
        let sizes = ["4G", "800M", "1K", "17"].map(|text| size(text).unwrap());
        assert_eq!(sizes, [4 << 30, 800 << 20, 1 << 10, 17]);
        for text in ["", "G", "-1G", "0", "1.5G", "4GB", "99999999999T"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
