//! `cargo xtask faults`: fault injection. Kills our programs, makes their system calls fail, runs two writers at once,
//! cuts the power, and feeds them corrupt inputs. After each try an oracle checks the outcome; see `tests/README.md`.
//!
//! Drives the built programs as a user would, without knowledge of their internals.

mod clustered;
mod crowd;
mod hostile;
mod inputs;
mod job;
mod kills;
mod oracle;
mod power;
mod project;
mod running;
mod seat;
mod served;
mod snapshot;
mod system;
mod tally;
mod undisturbed;
mod writers;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use self::crowd::{Crowd, Goal};
use self::project::Project;
use self::tally::{Tally, Trial};
use crate::random::Random;
use crate::workspace::Workspace;
use crate::{cluster, process, setup, test};

/// Arguments: what to try, and how often.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Number of tries
    #[arg(long, value_enum, default_value = "change")]
    size: Size,
    /// Parts [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    part: Vec<Part>,
    /// Random seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only the try of this number, for one part
    #[arg(long, value_name = "NUMBER")]
    only: Option<u64>,
    /// Number of tries per part, in place of the size's
    #[arg(long, value_name = "N")]
    tries: Option<u64>,
    /// Write the results as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Folder of the programs [default: those of this checkout, built first]
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
}

/// Extent of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Size {
    /// Some minutes, for every change
    Change,
    /// Some hours, every night
    Night,
    /// For releases
    Release,
}

/// A part of the programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// `kill -9` of the front, the engine or both
    Kills,
    /// Every system call fails once
    System,
    /// Two commands write into one folder
    Writers,
    /// Simulated power cuts
    Power,
    /// Corrupt files, records, events and plugins
    Inputs,
    /// `kill -9` of the server, its engine or both under load
    Serve,
    /// Hostile requests to the server, and every file of the corpus as an upload
    Requests,
    /// Changes between a kill and the next command; runs the test `identity`
    Identity,
    /// `kill -9` of every process of a job on Ballista; builds core/cluster
    Cluster,
}

impl Part {
    const ALL: [Part; 9] = [
        Part::Kills,
        Part::System,
        Part::Writers,
        Part::Power,
        Part::Inputs,
        Part::Serve,
        Part::Requests,
        Part::Identity,
        Part::Cluster,
    ];

    /// True if outcomes are compared with those of undisturbed commands.
    fn needs_references(self) -> bool {
        !matches!(self, Part::Serve | Part::Requests | Part::Identity)
    }

    fn name(self) -> &'static str {
        match self {
            Part::Kills => "kills",
            Part::System => "system",
            Part::Writers => "writers",
            Part::Power => "power",
            Part::Inputs => "inputs",
            Part::Serve => "serve",
            Part::Requests => "requests",
            Part::Identity => "identity",
            Part::Cluster => "cluster",
        }
    }

    /// Number of tries; for `kills`, `serve` and `cluster` the number of kills.
    fn count(self, size: Size) -> u64 {
        let [change, night, release] = match self {
            Part::Kills => [200, 5_000, 20_000],
            Part::System => [120, 2_000, u64::MAX],
            Part::Writers => [80, 1_600, 16_000],
            Part::Power => [60, u64::MAX, u64::MAX],
            Part::Inputs => [250, 500, 20_000],
            Part::Serve => [6, 200, 2_000],
            Part::Requests => [150, 5_000, 50_000],
            // In CI, it runs with the other tests.
            Part::Identity => [0, 1, 1],
            // In CI, the tests of the cluster kill each process once.
            Part::Cluster => [0, 300, 3_000],
        };
        match size {
            Size::Change => change,
            Size::Night => night,
            Size::Release => release,
        }
    }
}

/// Runs the parts and prints the results.
///
/// # Errors
/// The programs do not build, or an undisturbed command fails. A wrong outcome is not an error, but sets exit code 1.
pub fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let programs = match &options.programs {
        Some(folder) => std::path::absolute(folder)?,
        None => {
            setup::run(workspace)?;
            process::run(workspace.cargo().arg("build"))?;
            if options.part.contains(&Part::Cluster) || Part::Cluster.count(options.size) > 0 {
                cluster::build(workspace)?;
            }
            workspace.target.join("debug")
        }
    };
    let mut project = Project::make(workspace, &programs)?;
    let parts = if options.part.is_empty() { Part::ALL.to_vec() } else { options.part.clone() };
    if parts.iter().any(|part| part.needs_references()) {
        undisturbed::record(&mut project)?;
    }
    let mut tallies = Vec::new();
    let chosen = |part: &Part| !options.part.is_empty() || part.count(options.size) > 0;
    for part in parts.into_iter().filter(chosen) {
        let begin = Instant::now();
        let mut tally = perform(workspace, &programs, &project, options, part)?;
        tally.seconds = begin.elapsed().as_secs_f64();
        print!("{tally}");
        tallies.push(tally);
    }
    if let Some(path) = &options.json {
        fs::write(path, serde_json::to_vec_pretty(&tallies)?).with_context(|| path.display().to_string())?;
    }
    let wrong: usize = tallies.iter().map(Tally::wrong).sum();
    println!("{wrong} wrong outcomes");
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Sleeps for a random time of at most so many microseconds.
fn random_moment(random: &mut Random, longest: u64) {
    std::thread::sleep(Duration::from_micros(random.below(longest)));
}

fn perform(workspace: &Workspace, programs: &Path, project: &Project, options: &Options, part: Part) -> Result<Tally> {
    let crowd = Crowd { project, part: part.name(), seed: options.seed, only: options.only };
    let count = options.tries.unwrap_or_else(|| part.count(options.size));
    match part {
        Part::Kills => crowd.all(Goal::Sum("kills", count), |seat, _, random| kills::attempt(seat, random)),
        Part::System => system::all(&crowd, count),
        Part::Writers => crowd.all(Goal::Tries(count), writers::attempt),
        Part::Power => power::all(&crowd, count),
        Part::Inputs => inputs::all(&crowd, workspace, count),
        Part::Serve => crowd.all(Goal::Sum("kills", count), |seat, _, random| served::attempt(seat, random)),
        Part::Requests => hostile::all(&crowd, workspace, programs, count),
        Part::Identity => identity(workspace, part.name()),
        Part::Cluster => clustered::all(&crowd, count),
    }
}

/// Runs the test of the identity matrix as one try.
fn identity(workspace: &Workspace, part: &'static str) -> Result<Tally> {
    let arguments = ["--test", "identity"].map(Into::into);
    let passed = test::run(workspace, &arguments)? == ExitCode::SUCCESS;
    let mut trial = Trial::of("matrix");
    trial.wrong((!passed).then(|| "the test says what differs".into()));
    let mut tally = Tally::new(part);
    tally.add(0, trial);
    Ok(tally)
}
