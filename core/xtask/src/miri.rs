//! `cargo xtask miri`: runs the Rust side of the plugin border under Miri, which detects undefined behaviour.

use std::process::Command;

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{absent, process};

/// The unit tests of the border's structs and of the SDK. Without `torch`, since Miri cannot run C++.
const UNITS: &str = "miri test --package anyflow-abi --package anyflow-sdk --features anyflow-sdk/testkit --lib";
/// The test kit on statically linked plugins, which calls every function table. Takes minutes.
const KIT: &str = "--test kit --test kit_array";

/// Extent of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The unit tests only, for every change.
    Units,
    /// All tests.
    Whole,
}

/// Runs the tests if Miri is installed; otherwise reports that they are skipped.
///
/// # Errors
///
/// A test fails; in CI also if Miri is missing.
pub fn run(workspace: &Workspace, scope: Scope) -> Result<()> {
    if !is_installed() {
        let why = "not installed; install it with `rustup toolchain install nightly -c miri -c rust-src`";
        return absent::leave_out("miri", why);
    }
    let mut command = nightly("cargo");
    let kit = if scope == Scope::Whole { KIT } else { "" };
    command.args(UNITS.split_whitespace()).args(kit.split_whitespace());
    command.arg("--target-dir").arg(workspace.target.join("miri"));
    process::run(command.current_dir(&workspace.root))
}

/// A command of the nightly toolchain. Goes through rustup, since `$CARGO` is tied to one toolchain.
pub fn nightly(program: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", program]);
    for variable in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        command.env_remove(variable);
    }
    command
}

fn is_installed() -> bool {
    nightly("cargo").args(["miri", "--version"]).output().is_ok_and(|output| output.status.success())
}
