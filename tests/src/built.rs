//! The built programs and plugins, started as processes or loaded as libraries.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

use anyflow_plan::descriptor::PluginDescriptor;
use anyflow_plan::plan::Component;
use serde_json::Value;

static BUILD: Once = Once::new();

/// The folder of built programs and plugin libraries, up to date with the sources.
///
/// # Panics
/// If the build fails.
pub fn target() -> PathBuf {
    let executable = std::env::current_exe().expect("a test knows its own path");
    let folder = executable.parent().and_then(Path::parent).expect("tests are in <target>/debug/deps").to_path_buf();
    // Only `cargo build` builds programs and plugins of other crates, `cargo test` does not. `cargo xtask test` builds
    // first and sets the variable.
    BUILD.call_once(|| {
        if std::env::var_os("ANYFLOW_BUILT").is_some() {
            return;
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let target = folder.parent().expect("a profile's folder is in the target folder");
        let mut build = Command::new(cargo);
        // `cargo test` describes this package in them; dependencies that look at them would be built again.
        let describes = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(describes)) {
            build.env_remove(name);
        }
        build.args(["build", "--quiet"]).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let status = build.env("CARGO_TARGET_DIR", target).status();
        assert!(status.is_ok_and(|status| status.success()), "cargo build failed");
    });
    folder
}

/// The library of a plugin of this workspace.
pub fn library(plugin: &str) -> PathBuf {
    target().join(format!("libanyflow_{plugin}.so"))
}

/// The shipped plugins of this workspace by name: the crates in `plugins`, except the intentionally faulty one.
///
/// # Panics
/// If the folder cannot be read.
pub fn shipped_plugins() -> Vec<String> {
    let entries = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins")).expect("the folder of plugins");
    let folders = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.join("Cargo.toml").is_file());
    let names = folders.map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name != "faulty").collect();
    names.sort();
    names
}

/// The descriptor of a plugin of this workspace.
///
/// # Panics
/// If its library cannot be read.
pub fn descriptor(plugin: &str) -> PluginDescriptor {
    let bytes = std::fs::read(library(plugin)).expect("a library");
    let text = anyflow_abi::read::descriptor(&bytes).expect("a descriptor section");
    serde_json::from_str(text).expect("a descriptor")
}

/// A component of a plugin of this workspace, given as `plugin/component`.
///
/// # Panics
/// If `name` has no slash.
pub fn component(name: &str, parameters: Value) -> Component {
    let (plugin, id) = name.split_once('/').expect("plugin/component");
    let library = library(plugin).display().to_string();
    Component { plugin: plugin.into(), id: id.into(), library, parameters }
}

/// The result of a program.
#[derive(Debug)]
pub struct Output {
    /// Exit code; -1 if it was killed.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Output {
    /// Runs a program to its end.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn of(mut command: Command) -> Self {
        let output = command.output().expect("the program starts");
        Output {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The output of a program that succeeded.
    ///
    /// # Panics
    /// If it failed, with its output.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "standard output:\n{}\nstandard error:\n{}", self.out, self.err);
        self
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e} in:\n{}\n{}", self.out, self.err))
    }
}

/// Runs `anyflow` with these arguments and one thread in libtorch.
///
/// # Panics
/// If the program cannot be started.
pub fn anyflow<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    anyflow_with(&[], arguments)
}

/// As [`anyflow`], with environment variables.
///
/// # Panics
/// If the program cannot be started.
pub fn anyflow_with<S: AsRef<std::ffi::OsStr>>(
    variables: &[(&str, &std::ffi::OsStr)],
    arguments: impl IntoIterator<Item = S>,
) -> Output {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    Output::of(command_in(root, variables, arguments))
}

/// The command `anyflow` in a folder. It has no cache of hashes: files enter it once they are some seconds old, so that points of
/// failure would be counted differently on a slow machine.
pub fn command_in<S: AsRef<std::ffi::OsStr>>(
    folder: &Path,
    variables: &[(&str, &std::ffi::OsStr)],
    arguments: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new(target().join("anyflow"));
    command.args(arguments).current_dir(folder).env("OMP_NUM_THREADS", "1").env("XDG_CACHE_HOME", "/dev/null/none");
    command.envs(variables.iter().copied());
    command
}
