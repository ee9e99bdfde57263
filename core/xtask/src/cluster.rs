//! `cargo xtask test --cluster`: builds and tests `core/cluster`, which no other command builds: its dependencies take longer
//! than everything else.

use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use crate::{process, setup, test};

/// The package.
pub const PACKAGE: &str = "anyflow-cluster";
/// Its dependencies would be built anew with any profile, since it asks more features of those that it shares: this one does not
/// optimise them.
const PROFILE: [&str; 2] = ["--profile", "cluster"];
/// The tests that start its program, with those of all other packages, so that they are not compiled again.
const TESTS: &str = "cluster";

/// Builds the programs, and runs the tests of the cluster with extra arguments for them.
///
/// # Errors
///
/// The set-up or a build fails.
pub fn run(workspace: &Workspace, arguments: &[OsString]) -> Result<ExitCode> {
    build(workspace)?;
    process::run(test::command(workspace).args(PROFILE).args(["--package", PACKAGE]))?;
    let mut command = test::command(workspace);
    command.args(["--test", TESTS, "--", "--ignored"]).args(arguments);
    Ok(process::exit_code(process::status(&mut command)?))
}

/// Builds all programs.
///
/// # Errors
///
/// The set-up or a build fails.
pub fn build(workspace: &Workspace) -> Result<()> {
    setup::run(workspace)?;
    process::run(workspace.cargo().arg("build"))?;
    process::run(workspace.cargo().arg("build").args(PROFILE).args(["--package", PACKAGE]))?;
    let [built, beside] = ["cluster", "debug"].map(|folder| workspace.target.join(folder).join(PACKAGE));
    // `anyflow` looks for it beside itself. A program that runs cannot be written to, but it can be replaced.
    let fresh = beside.with_extension("new");
    fs::copy(&built, &fresh).and_then(|_| fs::rename(&fresh, &beside)).with_context(|| beside.display().to_string())
}
