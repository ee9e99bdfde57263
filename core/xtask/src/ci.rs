//! `cargo xtask ci`: all checks that a change must pass.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{absent, deny, header, miri, process, sanitize, setup, test};

/// A call of cargo.
struct Part {
    name: &'static str,
    arguments: &'static [&'static str],
    variable: Option<(&'static str, &'static str)>,
}

/// The checks before the tests, cheapest first.
const PARTS: [Part; 3] = [
    Part { name: "format", arguments: &["fmt", "--all", "--check"], variable: None },
    Part { name: "lints", arguments: &["clippy", "--all-targets", "--", "-D", "warnings"], variable: None },
    Part { name: "documentation", arguments: &["doc", "--no-deps"], variable: Some(("RUSTDOCFLAGS", "-D warnings")) },
];

/// Runs the checks in order and stops at the first failure.
///
/// # Errors
///
/// A check other than the tests fails, or a command cannot be started.
pub fn run(workspace: &Workspace, no_test: bool) -> Result<ExitCode> {
    let begin = Instant::now();
    timed("set-up", || setup::run(workspace))?;
    for Part { name, arguments, variable } in PARTS {
        timed(name, || process::run(workspace.cargo().args(arguments).envs(variable)))?;
    }
    timed("header", || header::run(workspace, true))?;
    timed("dependencies", || deny::run(workspace))?;
    timed("miri", || miri::run(workspace, miri::Scope::Units))?;
    timed("sanitizer", || sanitized(workspace))?;
    let code = if no_test { ExitCode::SUCCESS } else { timed("tests", || test::run(workspace, &[]))? };
    println!("all parts: {:.1} s", begin.elapsed().as_secs_f64());
    Ok(code)
}

/// Only CI runs AddressSanitizer, since it needs a separate build.
fn sanitized(workspace: &Workspace) -> Result<()> {
    if absent::in_ci() && !absent::is_agreed("asan") {
        return sanitize::run(workspace, Some(sanitize::Tool::Asan), &[]);
    }
    absent::leave_out("asan", "`cargo xtask sanitize --tool asan` runs every plugin under it")
}

fn timed<T>(name: &str, part: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("== {name}");
    let begin = Instant::now();
    let result = part();
    println!("== {name}: {:.1} s", begin.elapsed().as_secs_f64());
    result
}
