//! Finds and starts the engine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyflow_plan::frame::{FrameWriter, LONGEST_ORDER};
use anyflow_plan::order::GivenShard;
use serde::Serialize;
use serde_json::Value;

use crate::error::CliError;
use crate::exposure;
use crate::libtorch::Libtorch;
use crate::progress::Progress;
use crate::supervise::{EngineFailure, EngineInput, supervise};

const PROGRAM: &str = "anyflow-engine";

#[cfg(target_os = "macos")]
const LIBRARY_PATH: &str = "DYLD_LIBRARY_PATH";
#[cfg(not(target_os = "macos"))]
const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";

/// Environment of the engine: waiting threads must not spin.
pub const OPENMP: [(&str, &str); 1] = [("OMP_WAIT_POLICY", "PASSIVE")];

/// Settings of glibc's allocator; other allocators ignore them. Its defaults return the memory of each training step to
/// the system and fetch it again page by page, which costs a sixth of a bf16 step of a network of 4 million weights.
const ALLOCATOR: [(&str, &str); 2] =
    [("MALLOC_TRIM_THRESHOLD_", "1073741824"), ("MALLOC_MMAP_THRESHOLD_", "268435456")];

/// Keeps the engine and its plugins from printing backtraces. The standard library prints them under a lock that it takes again
/// when an allocation fails: a panic in a process without memory would never end.
const NO_BACKTRACE: [(&str, &str); 1] = [("RUST_BACKTRACE", "0")];

/// The engine's program: `ANYFLOW_ENGINE`, else the one next to this program.
///
/// # Errors
/// [`EngineFailure::Missing`].
pub fn find() -> Result<PathBuf, EngineFailure> {
    if let Some(path) = std::env::var_os("ANYFLOW_ENGINE").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(EngineFailure::Missing { path, by: "ANYFLOW_ENGINE names this path" })
        };
    }
    let exe = std::env::current_exe().unwrap_or_default();
    let path = exe.with_file_name(format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX));
    if path.is_file() { Ok(path) } else { Err(EngineFailure::Missing { path, by: "it must be next to this program" }) }
}

/// A command that starts the engine with these arguments.
fn command(program: &Path, libtorch: &Libtorch, threads: u32, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command.env(LIBRARY_PATH, library_path(libtorch));
    command.envs(OPENMP).envs(ALLOCATOR).envs(NO_BACKTRACE);
    command.env("OMP_NUM_THREADS", threads.to_string()).env("MKL_NUM_THREADS", threads.to_string());
    command
}

/// An order and how to start the engine for it.
pub struct Launch<'a, T> {
    /// The order.
    pub order: &'a T,
    /// Arguments; `-` makes the engine read the order from its standard input.
    pub arguments: &'a [&'a str],
    /// Threads inside libtorch.
    pub threads: u32,
}

/// Starts the engine and runs an order.
///
/// # Errors
/// There is no engine or libtorch, the order is too long, or the engine fails.
pub fn execute<T: Serialize>(launch: &Launch<'_, T>, progress: &mut Progress) -> Result<Value, CliError> {
    execute_giving(launch, std::iter::empty(), progress)
}

/// Starts the engine, runs an order and gives it shards, as long as there are any.
///
/// # Errors
/// As [`execute`].
pub fn execute_giving<T: Serialize>(
    launch: &Launch<'_, T>,
    given: impl Iterator<Item = Option<GivenShard>> + Send + 'static,
    progress: &mut Progress,
) -> Result<Value, CliError> {
    let program = find()?;
    let libtorch = Libtorch::find()?;
    let command = command(&program, &libtorch, launch.threads, launch.arguments);
    Ok(supervise(command, input(launch.order, given)?, progress)?)
}

/// An order and the shards behind it, as frames.
///
/// # Errors
/// The order is too long.
pub fn input<T: Serialize>(
    order: &T,
    given: impl Iterator<Item = Option<GivenShard>> + Send + 'static,
) -> Result<EngineInput, CliError> {
    let mut frames = FrameWriter::new(Vec::new(), LONGEST_ORDER);
    let too_long = |error| CliError::Usage(format!("the order for the engine is too long: {error}"));
    frames.write(order).map_err(too_long)?;
    let order = frames.take();
    let given = given.map_while(move |given| frames.write(&given).is_ok().then(|| frames.take()));
    Ok(Box::new(std::iter::once(order).chain(given)))
}

/// Asks the engine for its versions.
///
/// # Errors
/// It cannot be started, or dies.
pub fn versions(program: &Path, libtorch: &Libtorch) -> Result<Value, EngineFailure> {
    let nothing = Box::new(std::iter::empty());
    supervise(command(program, libtorch, 1, &["--version"]), nothing, &mut Progress::silent())
}

/// The library path: libtorch first, then the user's folders.
fn library_path(libtorch: &Libtorch) -> OsString {
    joined(libtorch.lib(), std::env::var_os(LIBRARY_PATH))
}

/// Keeps absolute folders only: the loader resolves empty and relative entries against the working directory, where
/// others may place files. For the same reason drops folders that all users can write to. The loader also splits entries
/// at semicolons.
fn joined(first: PathBuf, others: Option<OsString>) -> OsString {
    let others = others.iter().flat_map(std::env::split_paths);
    let is_whole = |path: &PathBuf| path.is_absolute() && !path.as_os_str().as_encoded_bytes().contains(&b';');
    let kept = others.filter(|path| is_whole(path) && !exposure::is_open_to_all(path));
    // Cannot fail: a libtorch in such a folder is refused when it is searched.
    std::env::join_paths(std::iter::once(first).chain(kept)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_never_looks_in_the_current_folder() {
        let of = |others: &str| joined("/torch/lib".into(), Some(others.into())).into_string().unwrap();
        assert_eq!(of("/a/lib:/b"), "/torch/lib:/a/lib:/b");
        for others in ["", ":", "::", "lib", ".", "./lib:..", "/a;lib"] {
            assert_eq!(of(others), "/torch/lib", "{others:?}");
        }
        assert_eq!(of(":/a:"), "/torch/lib:/a");
        assert_eq!(joined("/torch/lib".into(), None), "/torch/lib");
    }

    #[test]
    fn the_engine_prints_no_backtraces() {
        let libtorch = Libtorch { root: "/torch".into(), found_by: "a test" };
        let command = command(Path::new("engine"), &libtorch, 1, &[]);
        let value = command.get_envs().find(|(name, _)| *name == "RUST_BACKTRACE").and_then(|(_, value)| value);
        assert_eq!(value, Some("0".as_ref()));
    }

    #[cfg(unix)]
    #[test]
    fn the_loader_never_looks_where_all_users_can_write() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        for (bits, is_kept) in [(0o755, true), (0o777, false), (0o1777, false)] {
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(bits)).unwrap();
            let path = joined("/torch/lib".into(), Some(folder.path().into())).into_string().unwrap();
            assert_eq!(path.contains(folder.path().to_str().unwrap()), is_kept, "{bits:o}: {path}");
        }
    }
}
