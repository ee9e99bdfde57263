//! The order in the output folder: written for the engine, read again by `report` and by the next call.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyflow_plan::order::Order;
use anyflow_plan::plan::Job;
use serde_json::Value;

use crate::allow;
use crate::catalog::CatalogError;
use crate::console::Console;
use crate::engine;
use crate::error::{CliError, Result};
use crate::libtorch::Libtorch;
use crate::progress::Progress;
use crate::supervise::supervise;

/// Its file inside the output folder.
pub const ORDER_FILE: &str = "order.json";

/// Files by which one sees that a folder holds the output of some job.
const TRACES: [&str; 5] = ["job.json", "manifest.json", "data", "commits", "training.json"];

/// The order in a folder, if there is one that this program can read.
pub fn read(folder: &Path) -> Option<Order> {
    serde_json::from_slice(&std::fs::read(folder.join(ORDER_FILE)).ok()?).ok()
}

/// Refuses a folder that holds something else than an earlier run of the same job, before anything is written.
///
/// # Errors
/// [`CliError::Occupied`].
pub fn claim(order: &Order) -> Result<()> {
    let folder = Path::new(&order.output);
    let occupied = |found: &str| Err(CliError::Occupied { path: folder.into(), found: found.into() });
    if folder.exists() && !folder.is_dir() {
        return occupied("is no folder");
    }
    // An order without any trace of work is left from a start that failed; it binds nobody.
    if !TRACES.iter().any(|trace| folder.join(trace).exists()) {
        return Ok(());
    }
    match read(folder) {
        Some(found) if same_job(&found, order) => Ok(()),
        Some(found) => occupied(&format!(
            "holds the output of another job ({}, or the same with other settings)",
            crate::compiled::name_of(&found.job).0
        )),
        None => occupied("holds data of unknown origin"),
    }
}

/// True if both would write the same rows or weights; how fast and where from does not count.
fn same_job(a: &Order, b: &Order) -> bool {
    let key = |order: &Order| match &order.job {
        Job::Run(_) => (order.rows, order.key.clone(), order.shard_rows, order.batch_rows),
        Job::Train(_) | Job::Eval(_) => (None, None, 0, None),
    };
    a.format == b.format && a.job == b.job && key(a) == key(b)
}

/// Writes the order into its folder and lets the engine do it; the value is the engine's result.
///
/// # Errors
/// The folder cannot be written, there is no engine or libtorch, or the engine fails.
pub fn execute(order: &Order, console: &Console) -> Result<Value> {
    let program = engine::find()?;
    let libtorch = Libtorch::find()?;
    let path = write(order)?;
    let command = engine::command(&program, &libtorch, order.threads, path);
    Ok(supervise(command, &mut Progress::new(console))?)
}

fn write(order: &Order) -> Result<PathBuf> {
    let folder = Path::new(&order.output);
    std::fs::create_dir_all(folder).map_err(CliError::write(folder))?;
    let path = folder.join(ORDER_FILE);
    let text = serde_json::to_vec_pretty(order).map_err(CliError::internal)?;
    write_whole(&path, &text)?;
    Ok(path)
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
/// The current folder is gone, or the path is empty.
pub fn absolute(path: &Path) -> Result<String> {
    Ok(std::path::absolute(path).map_err(CliError::read(path))?.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(folder: &Path, seed: u64) -> Order {
        let job = serde_json::json!({
            "job": "train", "format": 1, "name": "t", "source": "t.yaml", "scorers": {}, "sources": {}, "data": {},
            "stages": [], "seed": seed,
            "model": {"name": "m", "source": "m.yaml", "checkpoint": null, "streams": {}, "denoisers": {}},
        });
        let order = serde_json::json!({
            "format": 1, "job": job, "output": folder, "shard_rows": 1024, "device": "cpu", "threads": 1,
        });
        serde_json::from_value(order).unwrap()
    }

    #[test]
    fn sizes_are_numbers_with_a_unit() {
        let sizes = ["4G", "800M", "1K", "17"].map(|text| size(text).unwrap());
        assert_eq!(sizes, [4 << 30, 800 << 20, 1 << 10, 17]);
        for text in ["", "G", "-1G", "0", "1.5G", "4GB", "99999999999T"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_folder_belongs_to_the_job_that_worked_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        claim(&order(path, 1)).unwrap();
        write(&order(path, 1)).unwrap();
        claim(&order(path, 2)).unwrap();
        std::fs::write(path.join("training.json"), "{}").unwrap();
        claim(&order(path, 1)).unwrap();
        claim(&Order { threads: 9, device: "cuda:0".into(), ..order(path, 1) }).unwrap();
        let error = claim(&order(path, 2)).unwrap_err();
        assert!(matches!(error, CliError::Occupied { .. }));
        assert_eq!(error.exit_code(), 2);
        std::fs::write(path.join(ORDER_FILE), "{}").unwrap();
        assert!(claim(&order(path, 1)).unwrap_err().to_string().contains("unknown origin"));
    }
}
