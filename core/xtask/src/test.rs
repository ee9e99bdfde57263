//! `cargo xtask test`: sets up, builds, and runs all tests.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{process, python, setup};

/// Tests run in parallel, so each gets one thread: more would slow them down, and change sums of floats.
pub const ONE_THREAD: [(&str, &str); 3] =
    [("OMP_NUM_THREADS", "1"), ("OMP_WAIT_POLICY", "PASSIVE"), ("MKL_NUM_THREADS", "1")];

/// Tells the tests that programs and plugins are built, so that they do not call cargo.
const BUILT: &str = "ANYFLOW_BUILT";

/// Runs the tests with extra arguments for `cargo test`, and returns its exit code.
///
/// # Errors
///
/// The set-up or the build fails.
pub fn run(workspace: &Workspace, arguments: &[OsString]) -> Result<ExitCode> {
    setup::run(workspace)?;
    // Tests start both programs and load every plugin, which `cargo test` alone would not build.
    process::run(workspace.cargo().arg("build"))?;
    Ok(process::exit_code(process::status(command(workspace).args(arguments))?))
}

/// `cargo test` with built programs.
pub fn command(workspace: &Workspace) -> Command {
    let mut command = workspace.cargo();
    // One failure must not hide the others.
    command.args(["test", "--no-fail-fast"]).envs(ONE_THREAD).env(BUILT, "yes");
    if let Some(interpreter) = python::interpreter() {
        command.env(python::VARIABLE, interpreter);
    }
    command
}
