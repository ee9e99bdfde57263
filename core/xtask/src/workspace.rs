//! The folders of the checkout, and how to call cargo there.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::link;

/// The two folders of a checkout.
#[derive(Debug, Deserialize)]
pub struct Workspace {
    /// The folder of the root `Cargo.toml`.
    #[serde(rename = "workspace_root")]
    pub root: PathBuf,
    /// The target directory, following `CARGO_TARGET_DIR` and the configuration.
    #[serde(rename = "target_directory")]
    pub target: PathBuf,
}

impl Workspace {
    /// Asks cargo for the workspace of the current folder.
    ///
    /// # Errors
    ///
    /// Cargo is missing, or the folder is not in a workspace.
    pub fn find() -> Result<Self> {
        let mut command = Command::new(cargo_path());
        command.args(["metadata", "--no-deps", "--format-version", "1"]).stderr(Stdio::inherit());
        let output = command.output().context("cannot start cargo")?;
        ensure!(output.status.success(), "cargo metadata failed: run cargo xtask inside the checkout");
        serde_json::from_slice(&output.stdout).context("cargo metadata has an unknown form")
    }

    /// A cargo command in the root of the workspace.
    ///
    /// It gets the variables of a plain `cargo build`: otherwise switching between the two would rebuild torch-sys, which
    /// takes minutes, and the dependencies that look at what `cargo run` says of xtask.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(cargo_path());
        command.current_dir(&self.root);
        if self.libtorch_given().is_none() {
            command.env_remove("LIBTORCH");
        }
        for (name, _) in env::vars_os().filter(|(name, _)| describes_package(name)) {
            command.env_remove(name);
        }
        if run_path_is_lost() {
            command.env("LD_LIBRARY_PATH", self.library_path());
        }
        command
    }

    /// One of our programs, built with the dev profile.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.target.join("debug").join(name));
        command.current_dir(&self.root);
        if run_path_is_lost() {
            command.env("LD_LIBRARY_PATH", self.library_path());
        }
        command
    }

    /// The user's `LIBTORCH`, if set. `cargo xtask` itself gets the link from `.cargo/config.toml`.
    pub fn libtorch_given(&self) -> Option<PathBuf> {
        let given = PathBuf::from(env::var_os("LIBTORCH").filter(|value| !value.is_empty())?);
        (given != self.link()).then_some(given)
    }

    /// The link to libtorch that `.cargo/config.toml` names.
    pub fn link(&self) -> PathBuf {
        self.root.join(link::NAME)
    }

    /// A path relative to the root of the workspace.
    pub fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }

    fn library_path(&self) -> OsString {
        let mut path = self.link().join("lib").into_os_string();
        if let Some(inherited) = env::var_os("LD_LIBRARY_PATH").filter(|value| !value.is_empty()) {
            path.push(":");
            path.push(inherited);
        }
        path
    }
}

/// True for a variable in which `cargo run` describes the package that it runs.
fn describes_package(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| name.starts_with(start)))
}

/// The cargo that started us, which may not be the first in `PATH`.
fn cargo_path() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

/// Removes variables that cargo uses *instead of* the flags in `.cargo/config.toml`: programs and doctests would lose
/// the run path to libtorch.
fn run_path_is_lost() -> bool {
    ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTDOCFLAGS", "CARGO_ENCODED_RUSTDOCFLAGS"]
        .iter()
        .any(|name| env::var_os(name).is_some())
}
