//! A folder of the project in which one command at a time is disturbed.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::job::Job;
use super::project::Project;
use super::running::{Ended, Running};
use super::snapshot::{Snapshot, tree};

/// A folder in which one command at a time is disturbed.
pub struct Seat<'p> {
    /// The project around it.
    pub project: &'p Project,
    /// The folder.
    pub folder: PathBuf,
}

impl<'p> Seat<'p> {
    /// Creates the folder of one worker.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn new(project: &'p Project, name: &str) -> Result<Self> {
        let folder = project.root().join(name);
        fs::create_dir_all(&folder)?;
        Ok(Seat { project, folder })
    }

    /// The output of commands.
    pub fn output(&self) -> PathBuf {
        self.folder.join("out")
    }

    /// Removes the outputs of earlier commands.
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

    /// The command of a job, with its output in this seat.
    pub fn command(&self, job: Job) -> Command {
        let mut command = self.project.command();
        command.args(job.arguments(&self.output()));
        command
    }

    /// Starts a command; `name` is the name of its log.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self, command: &mut Command, name: &str) -> Result<Running> {
        Running::start(command, &self.folder.join(format!("{name}.log")))
    }

    /// Runs the command of a job to its end.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run(&self, job: Job) -> Result<Ended> {
        self.start(&mut self.command(job), "log")?.end()
    }

    /// A snapshot of the output.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot> {
        Snapshot::of(&self.output())
    }

    /// The files of the output.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn tree(&self) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
        tree(&self.output())
    }

    /// Replaces the output by files and folders; their names begin with that of the output.
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
}
