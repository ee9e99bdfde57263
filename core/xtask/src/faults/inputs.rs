//! Part `inputs`: corrupt files, records, events and plugins. For any input, a command exits with 0 to 3 within its
//! time limit and uses at most one gigabyte of memory of its own.

mod border;
mod cases;
mod change;
mod documents;
mod imports;
mod parquet;
mod thrift;
mod tree;

use std::fs;
use std::process::Command;

use anyhow::Result;

use self::border::Plugins;
use self::cases::{Case, Good, Hostile};
use super::crowd::{Crowd, Goal};
use super::job::Job;
use super::oracle;
use super::project::PLUGIN;
use super::running::Ended;
use super::seat::Seat;
use super::tally::{Tally, Trial};
use crate::random::Random;
use crate::workspace::Workspace;

/// Memory limit of a process beyond what it maps from files, in KiB.
const MEMORY: &str = "1048576";
/// Time limit of a command.
const SECONDS: f64 = 20.0;
/// A shell script that sets the limit and becomes the command.
const LIMITED: &str = "ulimit -d \"$0\" && exec \"$@\"";

/// The kinds of inputs, with their share in twenty-five tries.
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

/// Runs the tries.
///
/// # Errors
/// A command cannot be started, or a plugin cannot be built.
pub fn all(crowd: &Crowd<'_>, workspace: &Workspace, tries: u64) -> Result<Tally> {
    let good = Good::read(crowd.project.root())?;
    let plugins = Plugins::build(&workspace.root, PLUGIN, &crowd.project.root().join("wrong"))?;
    let hostile = Hostile { good, plugins };
    crowd.all(Goal::Tries(tries), |seat, number, random| hostile.attempt(seat, number, random))
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
        let Case { command, description } = self.case(kind, seat, number, random)?;
        let ended = seat.start(&mut limited(&command), "log")?.end()?;
        let mut trial = Trial::of(format!("{kind:?}").to_lowercase());
        trial.count(format!("exit {}", ended.code.map_or("none".into(), |code| code.to_string())), 1);
        trial.wrong(wrong(seat, kind, &ended)?.map(|text| format!("{description} ({}): {text}", arguments(&command))));
        Ok(trial)
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

/// The command with a memory limit, which its engine inherits.
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
        // A plugin may kill the engine; a file may not.
        Kind::Border => None,
        Kind::Events if ended.code == Some(0) => Some("a fake engine's result was accepted".into()),
        Kind::Events => None,
        _ if ended.log.contains("killed by signal") || ended.log.contains("internal error") => {
            Some(ended.description())
        }
        Kind::Record if ended.code == Some(0) && ended.log.contains("anyflow report") => {
            let job = if seat.output().join("stages").exists() { Job::Train } else { Job::RunFew };
            oracle::published(seat, job)?
        }
        _ => None,
    })
}
