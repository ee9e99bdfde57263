//! `cargo xtask sanitize`: loads, tests and unloads every plugin under a memory checker.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::workspace::Workspace;
use crate::{cluster, miri, process, setup};

/// Valgrind's exit code for findings. Our programs never use it.
const FOUND: i32 = 97;
/// Suppressions for libtorch and its libraries, with reasons.
const SUPPRESSIONS: &str = "core/xtask/libtorch.supp";
/// Checked code is slow; the test kit's timeout must not end it.
const TIMEOUT_SECS: u64 = 3600;
/// Target triple of the build for AddressSanitizer.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Memory checkers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Tool {
    /// Valgrind's memcheck, on the normal build
    Valgrind,
    /// AddressSanitizer, on a separate build by the nightly toolchain if there is one
    Asan,
}

/// Runs all plugins under a tool: the one given, else Valgrind if it is installed.
///
/// # Errors
///
/// The tool is missing, the build fails, or the tool found errors.
pub fn run(workspace: &Workspace, asked: Option<Tool>, plugins: &[String]) -> Result<()> {
    let tool = asked.unwrap_or_else(preferred);
    setup::run(workspace)?;
    let folder = build(workspace, tool)?;
    let in_c = build_c(workspace)?;
    let mut found = Vec::new();
    for library in libraries(&[&folder, &in_c], plugins)? {
        let name = library.file_name().unwrap_or_default().to_string_lossy().into_owned();
        println!("== {name} under {tool:?}");
        if !is_clean(workspace, tool, &folder, &library)? {
            found.push(name);
        }
    }
    if !found.is_empty() {
        bail!("{tool:?} found memory errors with: {}; see above", found.join(", "));
    }
    println!("{tool:?} found no memory errors");
    Ok(())
}

fn preferred() -> Tool {
    if runs(Command::new("valgrind").arg("--version")) { Tool::Valgrind } else { Tool::Asan }
}

fn runs(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// A cargo that accepts unstable flags. Stable toolchains ship the sanitizer runtimes too and use them with
/// `RUSTC_BOOTSTRAP`, which is fine for checks but not for releases.
fn unstable_cargo(workspace: &Workspace) -> Command {
    if runs(miri::nightly("rustc").arg("--version")) {
        return miri::nightly("cargo");
    }
    let mut command = workspace.cargo();
    command.env("RUSTC_BOOTSTRAP", "1");
    command
}

/// Builds programs and plugins for the tool and returns their folder.
fn build(workspace: &Workspace, tool: Tool) -> Result<PathBuf> {
    match tool {
        Tool::Valgrind => {
            process::run(workspace.cargo().arg("build"))?;
            Ok(workspace.target.join("debug"))
        }
        Tool::Asan => {
            let target = workspace.target.join("asan");
            let rpath = format!("-Clink-arg=-Wl,-rpath,{}", workspace.link().join("lib").display());
            let mut command = unstable_cargo(workspace);
            command.args(["build", "--workspace", "--exclude", "xtask", "--exclude", cluster::PACKAGE]);
            command.args(["--target", TARGET, "--target-dir"]);
            // Plugins use the sanitizer's functions of the program that loads them.
            command.arg(&target).env("RUSTFLAGS", format!("-Zsanitizer=address -Clink-arg=-rdynamic {rpath}"));
            command.current_dir(&workspace.root);
            process::run(&mut command)?;
            Ok(target.join(TARGET).join("debug"))
        }
    }
}

/// Builds the C plugin into a separate folder, and returns it.
fn build_c(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target.join("sanitize");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let mut command = Command::new("cc");
    command.args(["-std=c11", "-g", "-O1", "-shared", "-fPIC", "-I", "core/abi/include", "plugins/netpbm/netpbm.c"]);
    process::run(command.arg("-o").arg(folder.join("libanyflow_netpbm.so")).current_dir(&workspace.root))?;
    Ok(folder)
}

/// The plugin libraries in the folders, or those with the given names.
fn libraries(folders: &[&Path], plugins: &[String]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = |folder: &&Path| folder.read_dir().with_context(|| folder.display().to_string());
    for entry in folders.iter().map(entries).collect::<Result<Vec<_>>>()?.into_iter().flatten() {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let plugin = name.strip_prefix("libanyflow_").and_then(|rest| rest.strip_suffix(".so"));
        if plugin.is_some_and(|plugin| plugins.is_empty() || plugins.iter().any(|wanted| wanted == plugin)) {
            found.push(path);
        }
    }
    found.sort();
    if found.is_empty() { bail!("there is no plugin {}", plugins.join(", ")) } else { Ok(found) }
}

/// Loads, tests and unloads a plugin. Only findings of the tool count, not those of the test kit.
fn is_clean(workspace: &Workspace, tool: Tool, folder: &Path, library: &Path) -> Result<bool> {
    let order = tempfile::NamedTempFile::new()?;
    serde_json::to_writer(&order, &json!({"library": library, "timeout_secs": TIMEOUT_SECS}))?;
    let engine = folder.join("anyflow-engine");
    let mut command = match tool {
        Tool::Valgrind => {
            let mut command = Command::new("valgrind");
            command.args(["--quiet", "--error-limit=no", "--num-callers=24", "--leak-check=full"]);
            command.args(["--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"]);
            command.arg(format!("--error-exitcode={FOUND}"));
            command.arg(format!("--suppressions={}", workspace.root.join(SUPPRESSIONS).display()));
            command.arg(engine);
            command
        }
        Tool::Asan => Command::new(engine),
    };
    command.args(["--check".as_ref(), order.path().as_os_str()]).current_dir(&workspace.root);
    command.env("OMP_NUM_THREADS", "1").env("ASAN_OPTIONS", format!("exitcode={FOUND}:detect_leaks=0"));
    Ok(process::status(&mut command)?.code().is_some_and(|code| code != FOUND))
}
