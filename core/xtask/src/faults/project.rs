//! A tiny project, made on the spot: one command on it takes a fraction of a second.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::job::{FILES, Job, PREPARATION, tables};
use super::running::{Ended, Running};
use super::snapshot::{Snapshot, tree};
use crate::test::ONE_THREAD;
use crate::workspace::Workspace;

/// The plugin of the tests that is right when no macro makes it wrong.
pub const PLUGIN: &str = "tests/native/faults.c";
/// The library that makes system calls fail.
const SHIM: &str = "tests/native/inject.c";

/// What an undisturbed command does.
pub struct Reference {
    /// What it leaves.
    pub snapshot: Snapshot,
    /// How long it takes.
    pub seconds: f64,
}

/// The project, with what undisturbed commands leave.
pub struct Project {
    folder: tempfile::TempDir,
    programs: PathBuf,
    library_path: PathBuf,
    /// The library that makes system calls fail.
    pub shim: PathBuf,
    references: BTreeMap<Job, Reference>,
}

impl Project {
    /// Makes the project with the programs of a folder, and runs every command undisturbed.
    ///
    /// # Errors
    /// Something does not build, or an undisturbed command fails or is not deterministic.
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
        let mut project = Project { folder, programs, library_path, shim, references: BTreeMap::new() };
        project.prepare()?;
        Ok(project)
    }

    fn prepare(&mut self) -> Result<()> {
        for line in PREPARATION {
            let ended = Running::start(self.command().args(line.split(' ')), &self.root().join("log"))?.end()?;
            ensure!(ended.code == Some(0), "`anyflow {line}`: {}", ended.told());
        }
        for job in Job::ALL {
            let seat = self.seat("reference")?;
            let (first, second) = (seat.undisturbed(job)?, seat.undisturbed(job)?);
            if let Some(difference) = second.snapshot.difference(&first.snapshot) {
                bail!("{} undisturbed gives other bytes a second time: {difference}", job.name());
            }
            self.references.insert(job, second);
        }
        Ok(())
    }

    /// Where it lies.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// `anyflow` in the project's folder.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.programs.join("anyflow"));
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

    /// A folder for one worker.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn seat(&self, name: &str) -> Result<Seat<'_>> {
        let folder = self.root().join(name);
        fs::create_dir_all(&folder)?;
        Ok(Seat { project: self, folder })
    }

    /// What an undisturbed command does.
    pub fn reference(&self, job: Job) -> &Reference {
        &self.references[&job]
    }
}

/// A folder in which one command at a time is disturbed.
pub struct Seat<'p> {
    /// The project around it.
    pub project: &'p Project,
    /// The folder.
    pub folder: PathBuf,
}

impl Seat<'_> {
    /// Where commands write.
    pub fn output(&self) -> PathBuf {
        self.folder.join("out")
    }

    /// Removes what earlier commands left.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn clear(&self, job: Job) -> Result<()> {
        let output = self.output();
        if output.exists() {
            fs::remove_dir_all(&output).with_context(|| output.display().to_string())?;
        }
        if !job.makes_folder() {
            fs::create_dir(&output)?;
        }
        Ok(())
    }

    /// The command of a job into this seat's output.
    pub fn command(&self, job: Job) -> Command {
        let mut command = self.project.command();
        command.args(job.arguments(&self.output()));
        command
    }

    /// Starts a command; `name` keeps what it says apart from others'.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self, command: &mut Command, name: &str) -> Result<Running> {
        Running::start(command, &self.folder.join(format!("{name}.log")))
    }

    /// The command of a job from start to end.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run(&self, job: Job) -> Result<Ended> {
        self.start(&mut self.command(job), "log")?.end()
    }

    /// What lies in the output.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot> {
        Snapshot::of(&self.output())
    }

    /// The files of the output, as they are.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn tree(&self) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
        tree(&self.output())
    }

    /// Puts files and folders in place of the output; their names begin with it.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn put(&self, tree: &BTreeMap<PathBuf, Option<Vec<u8>>>) -> Result<()> {
        let output = self.output();
        if output.exists() {
            fs::remove_dir_all(&output).with_context(|| output.display().to_string())?;
        }
        for (name, bytes) in tree {
            let path = self.folder.join(name);
            match bytes {
                Some(bytes) => fs::write(&path, bytes),
                None => fs::create_dir(&path),
            }
            .with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    fn undisturbed(&self, job: Job) -> Result<Reference> {
        self.clear(job)?;
        let ended = self.run(job)?;
        ensure!(ended.code == Some(0), "{} undisturbed: {}", job.name(), ended.told());
        let snapshot = self.snapshot()?;
        ensure!(snapshot.has(job.proof()), "{} undisturbed leaves no {}", job.name(), job.proof());
        Ok(Reference { snapshot, seconds: ended.seconds })
    }
}
