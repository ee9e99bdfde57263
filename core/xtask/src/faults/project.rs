//! A tiny project created on the spot: a command on it takes a fraction of a second.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::job::{FILES, Job, PREPARATION, tables};
use super::running::Running;
use super::snapshot::Snapshot;
use crate::test::ONE_THREAD;
use crate::workspace::Workspace;

/// The test plugin, which is correct unless a macro breaks it.
pub const PLUGIN: &str = "tests/native/faults.c";
/// The library that injects failures of system calls.
const SHIM: &str = "tests/native/inject.c";

/// The result of an undisturbed command.
pub struct Reference {
    /// Its output.
    pub snapshot: Snapshot,
    /// Its duration.
    pub seconds: f64,
}

/// The project: files, plugins, and a way to run commands on them.
pub struct Project {
    folder: tempfile::TempDir,
    programs: PathBuf,
    library_path: PathBuf,
    /// The library that injects failures of system calls.
    pub shim: PathBuf,
    /// The results of undisturbed commands, once [`super::undisturbed::record`] has run them.
    pub references: BTreeMap<Job, Reference>,
}

impl Project {
    /// Creates the project for the programs in a folder.
    ///
    /// # Errors
    /// A build fails, or a command that prepares the project.
    pub fn make(workspace: &Workspace, programs: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("anyflow-faults-").tempdir()?;
        let root = folder.path();
        fs::create_dir_all(root.join("plugins"))?;
        for (name, text) in FILES {
            fs::write(root.join(name), text)?;
        }
        for (name, text) in tables() {
            fs::write(root.join(name), text)?;
        }
        let compiled = |source: &str, standard: &str, library: PathBuf| {
            let mut command = Command::new("cc");
            command.args([standard, "-O1", "-shared", "-fPIC", "-I", "core/abi/include", source, "-o"]).arg(&library);
            let status = command.current_dir(&workspace.root).status().context("cannot start cc")?;
            ensure!(status.success(), "{source} does not compile");
            Ok(library)
        };
        compiled(PLUGIN, "-std=c11", root.join("plugins/libanyflow_faults.so"))?;
        let shim = compiled(SHIM, "-std=gnu11", root.join("inject.so"))?;
        let programs = std::path::absolute(programs)?;
        let library_path = workspace.link().join("lib");
        let project = Project { folder, programs, library_path, shim, references: BTreeMap::new() };
        project.prepare()?;
        Ok(project)
    }

    fn prepare(&self) -> Result<()> {
        for line in PREPARATION {
            let ended = Running::start(self.command().args(line.split(' ')), &self.root().join("log"))?.end()?;
            ensure!(ended.code == Some(0), "`anyflow {line}`: {}", ended.description());
        }
        Ok(())
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// The path of one of the programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// `anyflow` in the project's folder.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.program("anyflow"));
        command.current_dir(self.root()).envs(ONE_THREAD);
        command.env("ANYFLOW_PLUGINS", self.root().join("plugins"));
        command.env("XDG_CACHE_HOME", self.root().join("cache"));
        command.env("LIBTORCH", self.library_path.parent().unwrap_or(&self.library_path));
        for variable in ["ANYFLOW_FAILPOINT", "ANYFLOW_PLUGINS_ALLOW", "ANYFLOW_ENGINE", "RUST_LOG", "LD_LIBRARY_PATH"]
        {
            command.env_remove(variable);
        }
        command
    }

    /// The result of an undisturbed command.
    pub fn reference(&self, job: Job) -> &Reference {
        &self.references[&job]
    }
}
