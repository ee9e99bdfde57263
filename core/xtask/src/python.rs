//! A Python with pyarrow and the packages that users have, for the tests of the Python package and those that read our
//! Parquet files with another implementation.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::cache;

/// The variable that tells tests where it is.
pub const VARIABLE: &str = "ANYFLOW_PYTHON";

/// What is installed.
const REQUIREMENTS: &str = include_str!("../../python/tests/requirements.txt");

/// Its copy in the environment: another list makes another environment.
const INSTALLED: &str = "requirements.txt";

/// Returns the interpreter: the user's if `ANYFLOW_PYTHON` is set, else the one in the cache, which is created if
/// needed. `None` without Python or network: a warning says so, and only the tests that need it fail.
pub fn interpreter() -> Option<PathBuf> {
    if let Some(given) = env::var_os(VARIABLE) {
        return Some(given.into());
    }
    match cached() {
        Ok(interpreter) => Some(interpreter),
        Err(error) => {
            eprintln!("warning: no Python with pyarrow for the tests that need it: {error:#}");
            eprintln!("warning: set {VARIABLE} to an interpreter that has it, or expect those tests to fail");
            None
        }
    }
}

fn cached() -> Result<PathBuf> {
    let cache = cache::folder()?;
    let folder = cache.join("python");
    if !is_current(&folder) {
        eprintln!("pyarrow and other Python packages are installed once into {}", folder.display());
        let work = cache::temporary(&cache)?;
        let fresh = work.path().join("python");
        make(&fresh)?;
        publish(&fresh, &folder, &work.path().join("old"))?;
    }
    Ok(interpreter_in(&folder))
}

fn interpreter_in(folder: &Path) -> PathBuf {
    folder.join("bin").join("python")
}

fn is_current(folder: &Path) -> bool {
    let installed = fs::read_to_string(folder.join(INSTALLED));
    let works = || output(Command::new(interpreter_in(folder)).args(["-c", "import pyarrow"])).is_ok();
    installed.is_ok_and(|list| list == REQUIREMENTS) && works()
}

/// Makes an environment whose packages the outer pip installs: a pip of its own would need a Debian package more, and
/// would have to be fetched as well.
fn make(folder: &Path) -> Result<()> {
    output(Command::new("python3").args(["-m", "venv", "--without-pip"]).arg(folder))?;
    let packages = output(
        Command::new(interpreter_in(folder)).args(["-c", "import sysconfig; print(sysconfig.get_path('platlib'))"]),
    )?;
    let list = folder.join(INSTALLED);
    fs::write(&list, REQUIREMENTS).with_context(|| format!("cannot write {}", list.display()))?;
    output(
        Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir"])
            .args(["--only-binary", ":all:", "--target", &packages, "--requirement"])
            .arg(&list)
            .env("TMPDIR", folder.parent().unwrap_or(folder)),
    )?;
    Ok(())
}

/// Puts the new environment in place of an older or broken one. The interpreter is a link to Python itself, so it does
/// not mind being moved.
fn publish(fresh: &Path, folder: &Path, old: &Path) -> Result<()> {
    if folder.exists() {
        fs::rename(folder, old).with_context(|| format!("cannot replace {}", folder.display()))?;
    }
    match fs::rename(fresh, folder) {
        // Another run may have been faster.
        Err(_) if is_current(folder) => Ok(()),
        published => published.with_context(|| format!("cannot make {}", folder.display())),
    }
}

fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {name}"))?;
    ensure!(output.status.success(), "{name} says: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().into())
}
