//! `cargo xtask miri`: the Rust side of the plugin border under Miri, which sees every wrong use of memory in it.

use std::process::Command;

use anyhow::Result;

use crate::process;
use crate::workspace::Workspace;

/// Tests under Miri: the border's structs, and the conformance kit on a plugin, which crosses every table. Without
/// `torch`, which is C++ that Miri cannot run.
const TESTS: &str = "miri test --package anyflow-abi --package anyflow-sdk --features anyflow-sdk/testkit --lib --test kit --test kit_array";

/// Runs them where Miri is installed, and says in a line where it is not.
///
/// # Errors
///
/// A test fails.
pub fn run(workspace: &Workspace) -> Result<()> {
    if !is_installed() {
        println!("skipped: Miri is not installed; `rustup toolchain install nightly -c miri -c rust-src` brings it");
        return Ok(());
    }
    let mut command = nightly("cargo");
    command.args(TESTS.split_whitespace()).arg("--target-dir").arg(workspace.target.join("miri"));
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
