//! The order: what the engine is asked to do. The engine keeps it in the output folder, where `report` reads it.

use std::io::Write;
use std::path::Path;

use anyflow_datasets::{MANIFEST_FILE, PART_FILE, PARTS_FOLDER, is_address, is_there};
use anyflow_plan::order::{GivenShard, Order};
use anyflow_plan::plan::Job;
use serde_json::Value;

use crate::allow;
use crate::catalog::CatalogError;
use crate::engine;
use crate::error::{CliError, Result};
use crate::paths;
use crate::progress::Progress;
use crate::regular;
use crate::supervise::EngineFailure;

/// Its file inside the output folder.
pub const ORDER_FILE: &str = "order.json";

/// The file that completes the output of an order.
fn end_of(order: &Order) -> String {
    match (&order.job, &order.share) {
        (Job::Run(_), Some(share)) if is_address(Path::new(&order.output)) => {
            format!("{PARTS_FOLDER}/{}.json", share.name())
        }
        (Job::Run(_), Some(_)) => PART_FILE.into(),
        (Job::Run(_), None) => MANIFEST_FILE.into(),
        (Job::Train(_), _) => "train.json".into(),
        (Job::Eval(_), _) => "eval.json".into(),
    }
}

/// Reads the order in a folder; `None` if there is none, or it cannot be read.
pub fn read(folder: &Path) -> Option<Order> {
    regular::json(&folder.join(ORDER_FILE))
}

/// Runs an order and returns the engine's result. Only the engine writes to the output folder, since it holds the lock.
///
/// # Errors
/// There is no engine or libtorch, the engine fails, or the file that completes the output is missing.
pub fn execute(order: &Order, progress: &mut Progress) -> Result<Value> {
    execute_giving(order, std::iter::empty(), progress)
}

/// As [`execute`], and gives the engine shards.
///
/// # Errors
/// As [`execute`].
pub fn execute_giving(
    order: &Order,
    given: impl Iterator<Item = Option<GivenShard>> + Send + 'static,
    progress: &mut Progress,
) -> Result<Value> {
    let launch = engine::Launch { order, arguments: &["-"], threads: order.threads };
    let result = engine::execute_giving(&launch, given, progress)?;
    let end = Path::new(&order.output).join(end_of(order));
    if is_there(&end)? { Ok(result) } else { Err(EngineFailure::Unproven { path: end }.into()) }
}

/// Writes a file atomically.
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

/// Temporary files are readable only by the user; a finished file is readable like any other.
#[cfg(unix)]
fn readable(file: &std::fs::File) -> std::io::Result<()> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_file: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

/// The number of threads: as asked, else one per core.
pub fn threads(asked: Option<u32>) -> u32 {
    let all = || std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1));
    asked.unwrap_or_else(all).max(1)
}

/// Hashes of the plugin files that the engine may load; `None` if there is no list.
///
/// # Errors
/// The list cannot be used.
pub fn plugins_allowed() -> Result<Option<Vec<String>>> {
    let hashes = allow::hashes().map_err(CatalogError::from)?;
    Ok(hashes.map(|hashes| hashes.into_iter().collect()))
}

/// Parses a time in seconds.
///
/// # Errors
/// It is not a number above zero.
pub fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds > 0.0);
    seconds.ok_or_else(|| "expected a number of seconds above 0".into())
}

/// Parses a size in bytes: `800M`, `4G` or `4GB`, or a plain number of bytes.
///
/// # Errors
/// It is not a size.
pub fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 4] = [("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40)];
    let with_unit = text.strip_suffix('B').unwrap_or(text);
    let unit = UNITS.into_iter().find_map(|(unit, bytes)| Some((with_unit.strip_suffix(unit)?, bytes)));
    let (number, bytes) = unit.unwrap_or((text, 1));
    let size = number.parse::<u64>().ok().and_then(|number| number.checked_mul(bytes)).filter(|size| *size > 0);
    size.ok_or_else(|| "expected a whole number with K, M, G or T, such as 800M or 4G".into())
}

/// Makes a path absolute, so that an order means the same in every working directory. An address is absolute.
///
/// # Errors
/// The working directory is gone, or the path is empty or not UTF-8.
pub fn absolute(path: &Path) -> Result<String> {
    if is_address(path) {
        return paths::text(path);
    }
    paths::text(&std::path::absolute(path).map_err(CliError::read(path))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_with_a_unit() {
        let sizes = ["4G", "800M", "1K", "17", "256MB"].map(|text| size(text).unwrap());
        assert_eq!(sizes, [4 << 30, 800 << 20, 1 << 10, 17, 256 << 20]);
        for text in ["", "G", "-1G", "0", "1.5G", "4GBB", "17B", "99999999999T"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
