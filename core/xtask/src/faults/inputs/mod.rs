//! Part `inputs`: hostile files, records, events and plugins. Whatever comes in, a command ends with exit 0 to 3 within its
//! time, and it never takes more than a gigabyte of memory for itself.

mod border;
mod change;
mod documents;
mod imports;
mod parquet;
mod thrift;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use self::border::Plugins;
use super::crowd::{Crowd, Goal};
use super::job::Job;
use super::oracle;
use super::project::Seat;
use super::random::Random;
use super::running::Ended;
use super::tally::{Tally, Trial};
use crate::workspace::Workspace;

/// Memory that a process may take beyond what it maps from files, in KiB.
const MEMORY: &str = "1048576";
/// Longer than this is too long.
const SECONDS: f64 = 20.0;
/// Sets the limit and becomes the command.
const LIMITED: &str = "ulimit -d \"$0\" && exec \"$@\"";

/// What is hostile, and how many of twenty-five tries are for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Parquet,
    Import,
    Weights,
    Record,
    Yaml,
    Events,
    Border,
}

const KINDS: [(Kind, u64); 7] = [
    (Kind::Parquet, 10),
    (Kind::Import, 3),
    (Kind::Weights, 2),
    (Kind::Record, 2),
    (Kind::Yaml, 2),
    (Kind::Events, 2),
    (Kind::Border, 4),
];

/// Makes so many tries.
///
/// # Errors
/// A command cannot be started, or a plugin not be built.
pub fn all(crowd: &Crowd<'_>, workspace: &Workspace, tries: u64) -> Result<Tally> {
    let good = Good::read(crowd.project.root())?;
    let source = super::project::PLUGIN;
    let plugins = Plugins::build(&workspace.root, source, &crowd.project.root().join("wrong"))?;
    let hostile = Hostile { good, plugins };
    crowd.all(Goal::Tries(tries), |seat, number, random| hostile.attempt(seat, number, random))
}

/// Files that are made hostile.
struct Good {
    tables: Vec<Vec<u8>>,
    weights: Vec<u8>,
}

impl Good {
    fn read(root: &Path) -> Result<Self> {
        let read = |name: &str| fs::read(root.join(name)).with_context(|| name.to_string());
        let tables = ["data.parquet", "labelled/data/digits.parquet"].map(read).into_iter().collect::<Result<_>>()?;
        Ok(Good { tables, weights: read("trained/model.safetensors")? })
    }
}

struct Hostile {
    good: Good,
    plugins: Plugins,
}

/// A command on something hostile.
struct Case {
    command: Command,
    told: String,
}

impl Hostile {
    fn attempt(&self, seat: &Seat<'_>, number: u64, random: &mut Random) -> Result<Trial> {
        let kind = kind(number);
        seat.clear(Job::Run)?;
        let input = seat.folder.join("input");
        if input.exists() {
            fs::remove_dir_all(&input)?;
        }
        fs::create_dir(&input)?;
        let case = match kind {
            Kind::Parquet => self.table(seat, &input, random)?,
            Kind::Import => import(seat, &input, random)?,
            Kind::Weights => self.weights(seat, &input, random)?,
            Kind::Record => record(seat, random)?,
            Kind::Yaml => yaml(seat, &input, random)?,
            Kind::Events => events(seat, &input, random)?,
            Kind::Border => self.border(seat, number, random)?,
        };
        let Case { command, told } = case;
        let ended = seat.start(&mut limited(&command), "log")?.end()?;
        let mut trial = Trial::of(format!("{kind:?}").to_lowercase());
        trial.count(format!("exit {}", ended.code.map_or("none".into(), |code| code.to_string())), 1);
        trial.wrong(wrong(seat, kind, &ended)?.map(|text| format!("{told} ({}): {text}", arguments(&command))));
        Ok(trial)
    }

    fn table(&self, seat: &Seat<'_>, input: &Path, random: &mut Random) -> Result<Case> {
        let good: &Vec<u8> = random.of_all(&self.good.tables);
        let (bytes, told) = parquet::hostile(good, random);
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
        Ok(Case { command, told })
    }

    fn weights(&self, seat: &Seat<'_>, input: &Path, random: &mut Random) -> Result<Case> {
        let (bytes, told) = documents::weights(&self.good.weights, random);
        let file = written(input, "hostile.safetensors", &bytes)?;
        let model = fs::read_to_string(seat.project.root().join("model.yaml"))?;
        let model = model.replace("trained/model.safetensors", &file.display().to_string());
        written(input, "model.yaml", model.as_bytes())?;
        fs::copy(seat.project.root().join("pipeline.yaml"), input.join("pipeline.yaml"))?;
        let mut command = seat.project.command();
        command.args(["run", "--threads", "1", "--input", "data.parquet", "--output"]).arg(seat.output());
        command.arg(input.join("pipeline.yaml"));
        Ok(Case { command, told })
    }

    fn border(&self, seat: &Seat<'_>, number: u64, random: &mut Random) -> Result<Case> {
        let (folder, told) = self.plugins.nth(number / 25 * 4 + number % 25);
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
        Ok(Case { command, told })
    }
}

fn kind(number: u64) -> Kind {
    let mut place = number % KINDS.iter().map(|(_, share)| share).sum::<u64>();
    for (kind, share) in KINDS.iter().rev() {
        if place < *share {
            return *kind;
        }
        place -= share;
    }
    Kind::Parquet
}

fn import(seat: &Seat<'_>, input: &Path, random: &mut Random) -> Result<Case> {
    let (bytes, ending, told) = imports::hostile(random);
    let file = written(input, &format!("hostile.{ending}"), &bytes)?;
    let mut command = seat.project.command();
    command.args(["data", "import"]).arg(file).arg("--output").arg(input.join("rows.parquet"));
    Ok(Case { command, told: format!("{ending}: {told}") })
}

/// A record of a finished output, or of one whose end is missing, and the same command again.
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
    let (bytes, told) = change::json(bytes, random);
    fs::write(seat.output().join(name), bytes)?;
    let told = format!("{} of a {}: {told}", name.display(), job.name());
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
    Ok(Case { command, told })
}

fn yaml(seat: &Seat<'_>, input: &Path, random: &mut Random) -> Result<Case> {
    let (bytes, told) = documents::yaml(random);
    let file = written(input, "hostile.yaml", &bytes)?;
    let mut command = seat.project.command();
    command.arg(*random.of_all(&["check", "plan"])).arg(file);
    Ok(Case { command, told })
}

/// A program in the engine's place.
fn events(seat: &Seat<'_>, input: &Path, random: &mut Random) -> Result<Case> {
    use std::os::unix::fs::PermissionsExt;
    let (bytes, code, told) = documents::events(random);
    let words = written(input, "words", &bytes)?;
    let script = format!("#!/bin/sh\ncat '{}'\nexit {code}\n", words.display());
    let engine = written(input, "engine", script.as_bytes())?;
    fs::set_permissions(&engine, fs::Permissions::from_mode(0o755))?;
    let mut command = seat.command(Job::RunFew);
    command.env("ANYFLOW_ENGINE", engine);
    Ok(Case { command, told })
}

fn written(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, bytes).with_context(|| path.display().to_string())?;
    Ok(path)
}

/// The same command under the limit of memory, which its engine inherits.
fn limited(command: &Command) -> Command {
    let mut limited = Command::new("sh");
    limited.args(["-c", LIMITED, MEMORY]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        limited.current_dir(folder);
    }
    limited
}

fn arguments(command: &Command) -> String {
    command.get_args().take(2).map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn wrong(seat: &Seat<'_>, kind: Kind, ended: &Ended) -> Result<Option<String>> {
    if let Some(disorder) = ended.disorder() {
        return Ok(Some(disorder));
    }
    if ended.seconds > SECONDS {
        return Ok(Some(format!("it took {:.0} s", ended.seconds)));
    }
    Ok(match kind {
        // A plugin may die; a file may not be what the engine dies of.
        Kind::Border => None,
        Kind::Events if ended.code == Some(0) => Some("an engine that did nothing is believed".into()),
        Kind::Events => None,
        _ if ended.log.contains("killed by signal") || ended.log.contains("internal error") => Some(ended.told()),
        Kind::Record if ended.code == Some(0) && ended.log.contains("anyflow report") => {
            let job = if seat.output().join("stages").exists() { Job::Train } else { Job::RunFew };
            oracle::published(seat, job)?
        }
        _ => None,
    })
}
