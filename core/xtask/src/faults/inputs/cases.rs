//! Commands on corrupt inputs, by kind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::border::Plugins;
use super::{Kind, change, documents, imports, parquet};
use crate::faults::job::Job;
use crate::faults::seat::Seat;
use crate::random::Random;

/// Files to corrupt.
pub struct Good {
    tables: Vec<Vec<u8>>,
    weights: Vec<u8>,
}

impl Good {
    /// Reads them from a project's folder.
    ///
    /// # Errors
    /// One is missing.
    pub fn read(root: &Path) -> Result<Self> {
        let read = |name: &str| fs::read(root.join(name)).with_context(|| name.to_string());
        let tables = ["data.parquet", "labelled/data/digits.parquet"].map(read).into_iter().collect::<Result<_>>()?;
        Ok(Good { tables, weights: read("trained/model.safetensors")? })
    }
}

/// The raw material of corrupt inputs.
pub struct Hostile {
    /// Valid files.
    pub good: Good,
    /// Broken plugins.
    pub plugins: Plugins,
}

/// A command on a corrupt input.
pub struct Case {
    /// The command.
    pub command: Command,
    /// A description of the corruption.
    pub description: String,
}

impl Hostile {
    /// A command on a corrupt input of a kind, in an empty seat with an empty folder `input`.
    ///
    /// # Errors
    /// The file cannot be written, or the command that comes first cannot be started.
    pub fn case(&self, kind: Kind, seat: &Seat<'_>, number: u64, random: &mut Random) -> Result<Case> {
        let input = seat.folder.join("input");
        match kind {
            Kind::Parquet => self.table(seat, &input, random),
            Kind::Import => import(seat, &input, random),
            Kind::Weights => self.weights(seat, &input, random),
            Kind::Record => record(seat, random),
            Kind::Yaml => yaml(seat, &input, random),
            Kind::Events => events(seat, &input, random),
            Kind::Border => self.border(seat, number, random),
        }
    }

    fn table(&self, seat: &Seat<'_>, input: &Path, random: &mut Random) -> Result<Case> {
        let good: &Vec<u8> = random.of_all(&self.good.tables);
        let (bytes, description) = parquet::hostile(good, random);
        let file = written(input, "hostile.parquet", &bytes)?;
        let mut command = seat.project.command();
        match random.below(4) {
            0 => command.args(["data", "inspect"]).arg(file),
            1 => command.args(["data", "head"]).arg(file),
            2 => command.arg("report").arg(file).arg("--output").arg(input.join("page.html")),
            _ => command
                .args(["run", "pipeline.yaml", "--threads", "1", "--input"])
                .arg(file)
                .arg("--output")
                .arg(seat.output()),
        };
        Ok(Case { command, description })
    }

    fn weights(&self, seat: &Seat<'_>, input: &Path, random: &mut Random) -> Result<Case> {
        let (bytes, description) = documents::weights(&self.good.weights, random);
        let file = written(input, "hostile.safetensors", &bytes)?;
        let model = fs::read_to_string(seat.project.root().join("model.yaml"))?;
        let model = model.replace("trained/model.safetensors", &file.display().to_string());
        written(input, "model.yaml", model.as_bytes())?;
        fs::copy(seat.project.root().join("pipeline.yaml"), input.join("pipeline.yaml"))?;
        let mut command = seat.project.command();
        command.args(["run", "--threads", "1", "--input", "data.parquet", "--output"]).arg(seat.output());
        command.arg(input.join("pipeline.yaml"));
        Ok(Case { command, description })
    }

    fn border(&self, seat: &Seat<'_>, number: u64, random: &mut Random) -> Result<Case> {
        let (folder, description) = self.plugins.nth(number / 25 * 4 + number % 25);
        let mut command = match random.below(4) {
            0 => seat.command(Job::Train),
            1 => {
                let mut command = seat.project.command();
                command.args(["plugin", "check"]).arg(folder.join("libanyflow_faults.so"));
                command
            }
            _ => seat.command(Job::RunFew),
        };
        command.env("ANYFLOW_PLUGINS", folder);
        Ok(Case { command, description })
    }
}

fn import(seat: &Seat<'_>, input: &Path, random: &mut Random) -> Result<Case> {
    let (bytes, ending, description) = imports::hostile(random);
    let file = written(input, &format!("hostile.{ending}"), &bytes)?;
    let mut command = seat.project.command();
    command.args(["data", "import"]).arg(file).arg("--output").arg(input.join("rows.parquet"));
    Ok(Case { command, description: format!("{ending}: {description}") })
}

/// A corrupt record of a finished or unfinished output, and a rerun of its command.
fn record(seat: &Seat<'_>, random: &mut Random) -> Result<Case> {
    let job = *random.of_all(&[Job::RunFew, Job::Train]);
    seat.run(job)?;
    if random.below(2) == 0 {
        fs::remove_file(seat.output().join(job.proof()))?;
    }
    let files = seat.tree()?;
    let records: Vec<_> =
        files.iter().filter(|(name, _)| name.extension().is_some_and(|e| e == "json" || e == "jsonl")).collect();
    let (name, bytes) = random.of_all(&records);
    let (bytes, description) = change::json(bytes, random);
    fs::write(seat.output().join(name), bytes)?;
    let description = format!("{} of a {}: {description}", name.display(), job.name());
    let mut command = seat.command(job);
    match random.below(4) {
        0 => {
            command = seat.project.command();
            command.args(["data", "inspect"]).arg(seat.output());
        }
        1 => {
            command = seat.project.command();
            command.arg("report").arg(seat.output()).arg("--output").arg(seat.folder.join("input/page.html"));
        }
        _ => {}
    }
    Ok(Case { command, description })
}

fn yaml(seat: &Seat<'_>, input: &Path, random: &mut Random) -> Result<Case> {
    let (bytes, description) = documents::yaml(random);
    let file = written(input, "hostile.yaml", &bytes)?;
    let mut command = seat.project.command();
    command.arg(*random.of_all(&["check", "plan"])).arg(file);
    Ok(Case { command, description })
}

/// A program in place of the engine.
fn events(seat: &Seat<'_>, input: &Path, random: &mut Random) -> Result<Case> {
    use std::os::unix::fs::PermissionsExt;
    let (bytes, code, description) = documents::events(random);
    let words = written(input, "words", &bytes)?;
    let script = format!("#!/bin/sh\ncat '{}'\nexit {code}\n", words.display());
    let engine = written(input, "engine", script.as_bytes())?;
    fs::set_permissions(&engine, fs::Permissions::from_mode(0o755))?;
    let mut command = seat.command(Job::RunFew);
    command.env("ANYFLOW_ENGINE", engine);
    Ok(Case { command, description })
}

fn written(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, bytes).with_context(|| path.display().to_string())?;
    Ok(path)
}
