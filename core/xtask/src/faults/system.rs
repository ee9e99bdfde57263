//! Part `system`: the n-th system call of a kind fails, then the same command runs without a fault.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::crowd::{Crowd, Goal};
use super::job::Job;
use super::oracle;
use super::project::Project;
use super::seat::Seat;
use super::tally::{Tally, Trial};
use crate::random::Random;

/// The disturbed commands.
const JOBS: [Job; 3] = [Job::Run, Job::Train, Job::Import];

/// Number of bytes by which a call is short, in place of an error.
const SHORT: i32 = 0;
const EPERM: i32 = 1;
const EINTR: i32 = 4;
const EIO: i32 = 5;
const EAGAIN: i32 = 11;
const ENOMEM: i32 = 12;
const EACCES: i32 = 13;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;
const EMLINK: i32 = 31;
const ENOLCK: i32 = 37;

/// The errors of each call, by the names of `tests/native/inject.c`.
const FAULTS: [(&str, &[i32]); 13] = [
    ("open", &[EMFILE, EIO, EINTR, EACCES, ENOSPC]),
    ("read", &[EIO, EINTR, SHORT]),
    ("write", &[ENOSPC, EIO, EINTR, SHORT]),
    ("fsync", &[EIO, ENOSPC]),
    ("rename", &[EIO, ENOSPC]),
    ("mkdir", &[ENOSPC, EIO]),
    ("unlink", &[EIO, EPERM]),
    ("flock", &[ENOLCK, EINTR]),
    ("mmap", &[ENOMEM]),
    ("stat", &[EIO]),
    ("truncate", &[EIO]),
    ("link", &[EMLINK]),
    ("thread", &[EAGAIN]),
];

/// One fault: the n-th call, once or twice in a row.
#[derive(Clone, Debug)]
struct Fault {
    job: Job,
    call: &'static str,
    error: i32,
    nth: u64,
    times: u64,
}

/// Runs this number of faults, in an order that depends on the seed.
///
/// # Errors
/// A command cannot be started, or `tests/native/inject.c` has no effect on the programs.
pub fn all(crowd: &Crowd<'_>, tries: u64) -> Result<Tally> {
    let mut random = Random::of(crowd.seed, crowd.part, 0);
    let mut kinds = Vec::new();
    for job in JOBS {
        kinds.extend(faults_of(crowd.project, job)?);
    }
    kinds.iter_mut().for_each(|kind| random.shuffle(kind));
    let faults = dealt(kinds);
    let tries = tries.min(faults.len() as u64);
    eprintln!("{}: {tries} of {} faults", crowd.part, faults.len());
    crowd.numbered(Goal::Tries(tries), |seat, number| {
        let fault = faults.get(number as usize).context("there is no try of this number")?;
        attempt(seat, fault)
    })
}

/// Takes one fault of each kind in turn, so that rare kinds come first.
fn dealt(kinds: Vec<Vec<Fault>>) -> Vec<Fault> {
    let rounds = kinds.iter().map(Vec::len).max().unwrap_or_default();
    (0..rounds).flat_map(|round| kinds.iter().filter_map(move |kind| kind.get(round).cloned())).collect()
}

/// The faults of every call that an undisturbed command makes, by kind.
fn faults_of(project: &Project, job: Job) -> Result<Vec<Vec<Fault>>> {
    let seat = Seat::new(project, "counted")?;
    seat.clear(job)?;
    let state = State::make(&seat)?;
    let ended = seat.start(state.preload(&mut seat.command(job)), "log")?.end()?;
    ensure!(ended.code == Some(0), "{} with its calls counted: {}", job.name(), ended.description());
    let calls = state.calls()?;
    let made = |call: &str| calls.iter().find(|(name, _)| name == call).map_or(0, |(_, made)| *made);
    ensure!(made("write") > 0 && made("fsync") > 0, "the programs do not call through inject.c: {calls:?}");
    let kind = |(call, errors): (&'static str, &[i32])| {
        let ways = errors.iter().map(|error| (*error, 1)).chain([(errors[0], 2)]);
        let each = ways.flat_map(|(error, times)| (1..=made(call)).map(move |nth| (error, times, nth)));
        each.map(|(error, times, nth)| Fault { job, call, error, nth, times }).collect()
    };
    Ok(FAULTS.map(kind).into())
}

fn attempt(seat: &Seat<'_>, fault: &Fault) -> Result<Trial> {
    let Fault { job, call, error, nth, times } = fault;
    let mut trial = Trial::of(job.name());
    seat.clear(*job)?;
    let state = State::make(seat)?;
    let mut command = seat.command(*job);
    state.preload(&mut command).env("FAULTS_CALL", call).env("FAULTS_ERROR", error.to_string());
    command.env("FAULTS_NTH", nth.to_string()).env("FAULTS_TIMES", times.to_string());
    let ended = seat.start(&mut command, "log")?.end()?;
    let named = |text| format!("{call} {nth} x{times} errno {error}: {text}");
    match state.fired()? {
        0 => trial.count("did not fire", 1),
        fired => {
            trial.count("fired", fired);
            trial.count(format!("in {call}"), 1);
            trial.count(if ended.code == Some(0) { "succeeded all the same" } else { "refused" }, 1);
        }
    }
    trial.wrong(oracle::disturbed(seat, *job, Some(&ended))?.map(named));
    let ended = seat.run(*job)?;
    trial.wrong(oracle::resumed(seat, *job, &ended)?.map(named));
    trial.count("temporary files left", seat.snapshot()?.left as u64);
    Ok(trial)
}

/// The file shared with the library: see `struct state` in `tests/native/inject.c`.
pub struct State {
    path: PathBuf,
    below: PathBuf,
    shim: PathBuf,
}

impl State {
    /// A file of zeros for one command of a seat. Only calls in the project's folder count.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn make(seat: &Seat<'_>) -> Result<Self> {
        let path = seat.folder.join("state");
        fs::write(&path, [0; 4096])?;
        Ok(State { path, below: seat.project.root().to_owned(), shim: seat.project.shim.clone() })
    }

    /// Counts only calls in this folder.
    pub fn below(self, below: &Path) -> Self {
        State { below: below.to_owned(), ..self }
    }

    /// Preloads the library.
    pub fn preload<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("LD_PRELOAD", &self.shim).env("FAULTS_STATE", &self.path).env("FAULTS_BELOW", &self.below)
    }

    /// Number of failed calls.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn fired(&self) -> Result<u64> {
        Ok(number(&fs::read(&self.path)?, 0))
    }

    /// Number of calls by name.
    fn calls(&self) -> Result<Vec<(String, u64)>> {
        let bytes = fs::read(&self.path)?;
        let slots = bytes[16..].chunks_exact(24).take_while(|slot| slot[0] != 0);
        Ok(slots.map(|slot| (name(&slot[..16]), number(slot, 16))).collect())
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes)
}

fn name(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
