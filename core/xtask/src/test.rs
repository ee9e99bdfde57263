//! `cargo xtask test`: sets up, builds, and runs all tests.

use std::ffi::OsString;
use std::process::ExitCode;

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
    process::run(workspace.cargo().args(["build", "--workspace"]))?;
    let mut command = workspace.cargo();
    // One failure must not hide the others.
    command.args(["test", "--no-fail-fast"]).envs(ONE_THREAD).env(BUILT, "yes");
    if let Some(interpreter) = python::interpreter() {
        command.env(python::VARIABLE, interpreter);
    }
    if !names_packages(arguments) {
        command.arg("--workspace");
    }
    Ok(process::exit_code(process::status(command.args(arguments))?))
}

/// True if the arguments select packages; `--workspace` would override them.
fn names_packages(arguments: &[OsString]) -> bool {
    let for_cargo = arguments.iter().take_while(|argument| *argument != "--");
    for_cargo.filter_map(|argument| argument.to_str()).any(|text| {
        let long = text.split('=').next().unwrap_or(text);
        ["--package", "--workspace", "--all", "--manifest-path"].contains(&long) || text.starts_with("-p")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: bool) {
        let arguments: Vec<OsString> = line.split_whitespace().map(Into::into).collect();
        assert_eq!(names_packages(&arguments), expected, "{line}");
    }

    #[test]
    fn package_arguments_are_found() {
        check("", false);
        check("sampler --release", false);
        check("--profile dev", false);
        check("-- --nocapture -p x", false);
        check("-p anyflow-plan", true);
        check("-panyflow-plan", true);
        check("--package=anyflow-plan -- --nocapture", true);
        check("--release --package anyflow-plan", true);
    }
}
