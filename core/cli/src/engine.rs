//! The other program: where it lies and what it is started with.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyflow_plan::frame::{LONGEST_ORDER, Writer};
use serde::Serialize;
use serde_json::Value;

use crate::error::CliError;
use crate::libtorch::Libtorch;
use crate::progress::Progress;
use crate::supervise::{EngineError, supervise};

const PROGRAM: &str = "anyflow-engine";

#[cfg(target_os = "macos")]
const LIBRARY_PATH: &str = "DYLD_LIBRARY_PATH";
#[cfg(not(target_os = "macos"))]
const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";

/// Variables that the engine is started with: threads that wait must not spin, and there are as many as asked for.
pub const OPENMP: [(&str, &str); 1] = [("OMP_WAIT_POLICY", "PASSIVE")];

/// What glibc's allocator is told; others ignore it. By itself it returns what a step of a training has freed and asks
/// for it again page by page, which costs a bf16 step of a network of 4 million weights a sixth of its time.
const ALLOCATOR: [(&str, &str); 2] =
    [("MALLOC_TRIM_THRESHOLD_", "1073741824"), ("MALLOC_MMAP_THRESHOLD_", "268435456")];

/// The engine's program: `ANYFLOW_ENGINE`, else the one beside this program.
///
/// # Errors
/// [`EngineError::Missing`].
pub fn find() -> Result<PathBuf, EngineError> {
    if let Some(path) = std::env::var_os("ANYFLOW_ENGINE").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(EngineError::Missing { path, by: "ANYFLOW_ENGINE names it" })
        };
    }
    let exe = std::env::current_exe().unwrap_or_default();
    let path = exe.with_file_name(format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX));
    if path.is_file() { Ok(path) } else { Err(EngineError::Missing { path, by: "it must lie beside this program" }) }
}

/// The engine with these arguments, ready to start.
fn command(program: &Path, libtorch: &Libtorch, threads: u32, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command.env(LIBRARY_PATH, library_path(libtorch));
    command.envs(OPENMP).envs(ALLOCATOR);
    command.env("OMP_NUM_THREADS", threads.to_string()).env("MKL_NUM_THREADS", threads.to_string());
    command
}

/// What the engine is asked for, and how it is started for it.
pub struct Task<'a, T> {
    /// The order.
    pub order: &'a T,
    /// Arguments; `-` stands for the order.
    pub arguments: &'a [&'a str],
    /// Threads inside libtorch.
    pub threads: u32,
}

/// Starts the engine and lets it do an order.
///
/// # Errors
/// There is no engine or libtorch, the order is too long, or the engine fails.
pub fn execute<T: Serialize>(task: &Task<'_, T>, progress: &mut Progress) -> Result<Value, CliError> {
    let program = find()?;
    let libtorch = Libtorch::find()?;
    let mut order = Vec::new();
    let framed = Writer::new(&mut order, LONGEST_ORDER).write(task.order);
    framed.map_err(|error| CliError::Usage(format!("what the engine is asked for is too long: {error}")))?;
    Ok(supervise(command(&program, &libtorch, task.threads, task.arguments), Some(order), progress)?)
}

/// Asks the engine what it is.
///
/// # Errors
/// It cannot be started, or dies.
pub fn versions(program: &Path, libtorch: &Libtorch) -> Result<Value, EngineError> {
    supervise(command(program, libtorch, 1, &["--version"]), None, &mut Progress::silent())
}

/// The libraries of libtorch before whatever the user has.
fn library_path(libtorch: &Libtorch) -> OsString {
    let mut paths = vec![libtorch.lib()];
    paths.extend(std::env::var_os(LIBRARY_PATH).iter().flat_map(std::env::split_paths));
    std::env::join_paths(paths).unwrap_or_else(|_| libtorch.lib().into_os_string())
}
