//! `cargo xtask miri`: the Rust side of the plugin border under Miri, which sees every wrong use of memory in it.

use std::process::Command;

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{absent, process};

/// The unit tests of the border's structs and of the SDK. Without `torch`, which is C++ that Miri cannot run.
const UNITS: &str = "miri test --package anyflow-abi --package anyflow-sdk --features anyflow-sdk/testkit --lib";
/// The conformance kit on plugins that are linked, which crosses every table; minutes.
const KIT: &str = "--test kit --test kit_array";

/// How much runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The unit tests alone, for every change.
    Units,
    /// All of it.
    Whole,
}

/// Runs the tests where Miri is installed, and says in a line where it is not.
///
/// # Errors
///
/// A test fails, or in CI Miri is not there.
pub fn run(workspace: &Workspace, scope: Scope) -> Result<()> {
    if !is_installed() {
        let why = "it is not installed; `rustup toolchain install nightly -c miri -c rust-src` brings it";
        return absent::leave_out("miri", why);
    }
    let mut command = nightly("cargo");
    let kit = if scope == Scope::Whole { KIT } else { "" };
    command.args(UNITS.split_whitespace()).args(kit.split_whitespace());
    command.arg("--target-dir").arg(workspace.target.join("miri"));
    process::run(command.current_dir(&workspace.root))
}

/// A command of the nightly toolchain; `cargo` as cargo itself gives it to us knows no toolchains.
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
