//! Part `power`: simulates a power cut after each disk operation of a command, and reruns the command on the remains.
//! Then omits each sync in turn, which must cause a wrong outcome: otherwise that sync is unnecessary or untested.

mod cuts;
mod disk;
mod file;
mod journal;
mod promise;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use self::cuts::{State, States, exchanged, new_states, states, without};
use self::disk::Tree;
use self::journal::{Event, Step};
use super::crowd::{Crowd, Goal};
use super::job::Job;
use super::oracle;
use super::project::Project;
use super::seat::Seat;
use super::tally::{Tally, Trial};
use super::{snapshot, system};
use crate::random::Random;

/// The commands whose power is cut.
const JOBS: [Job; 3] = [Job::RunFew, Job::Train, Job::Import];

/// A command with its operations and the points at which they may stop.
struct Recorded {
    job: Job,
    steps: Vec<Step>,
    states: States,
}

/// One try.
enum Case {
    /// The power is cut.
    Cut(State),
    /// A sync does not happen.
    Without(usize),
    /// A sync comes one step too late.
    Late(usize),
    /// All syncs of a kind are omitted, as if their line were missing in the program.
    WithoutAll(String, Vec<usize>),
}

/// Runs this number of cases, in an order that depends on the seed.
///
/// # Errors
/// A command cannot be started, or its journal cannot be read.
pub fn all(crowd: &Crowd<'_>, tries: u64) -> Result<Tally> {
    let recorded = JOBS.map(|job| record(crowd.project, job)).into_iter().collect::<Result<Vec<_>>>()?;
    let mut cases: Vec<(&Recorded, Case)> = Vec::new();
    for recorded in &recorded {
        let Recorded { steps, states, .. } = recorded;
        cases.extend(states.values().map(|state| (recorded, Case::Cut(state.clone()))));
        let syncs = (0..steps.len()).filter(|number| steps[*number].is_sync());
        for number in syncs {
            cases.push((recorded, Case::Without(number)));
            let moves = steps.get(number + 1).is_some_and(|next| !matches!(next, Step::Say(Event::Other)));
            cases.extend(moves.then_some((recorded, Case::Late(number))));
        }
        let kinds = cuts::kinds(steps).into_iter();
        cases.extend(kinds.map(|(name, numbers)| (recorded, Case::WithoutAll(name, numbers))));
    }
    Random::of(crowd.seed, crowd.part, 0).shuffle(&mut cases);
    // The few cases of whole kinds say the most, so all of them run.
    cases.sort_by_key(|(_, case)| !matches!(case, Case::WithoutAll(..)));
    let tries = tries.min(cases.len() as u64);
    eprintln!("{}: {tries} of {} cuts and missing syncs", crowd.part, cases.len());
    crowd.numbered(Goal::Tries(tries), |seat, number| {
        let (recorded, case) = cases.get(number as usize).context("there is no try of this number")?;
        recorded.attempt(seat, case)
    })
}

/// Runs a command with a journal.
fn record(project: &Project, job: Job) -> Result<Recorded> {
    let seat = Seat::new(project, "recorded")?;
    seat.clear(job)?;
    let journal = seat.folder.join("journal");
    fs::write(&journal, "")?;
    let shim = system::State::make(&seat)?.below(&seat.folder);
    let mut command = seat.command(job);
    shim.preload(&mut command).env("FAULTS_JOURNAL", &journal);
    let ended = seat.start(&mut command, "log")?.end()?;
    ensure!(ended.code == Some(0), "{} with a journal: {}", job.name(), ended.description());
    let mut steps = journal::read(&fs::read(&journal)?, &seat.folder)?;
    ensure!(steps.iter().any(Step::is_sync), "the journal of {} has no sync", job.name());
    steps.push(Step::Say(Event::Finished));
    let states = states(&steps, !job.makes_folder());
    // The journal must explain the real output.
    let whole =
        Tree::from_iter(seat.tree()?.into_iter().map(|(name, bytes)| (Path::new("out").join(name), Some(bytes))));
    let mut disk = disk::Disk::with(!job.makes_folder());
    steps.iter().for_each(|step| disk.apply(step));
    let description = disk.live();
    for (name, bytes) in whole.iter().filter(|(name, _)| snapshot::is_compared(name)) {
        ensure!(
            description.get(name) == Some(bytes),
            "the journal of {} does not explain {}",
            job.name(),
            name.display()
        );
    }
    Ok(Recorded { job, steps, states })
}

impl Recorded {
    fn attempt(&self, seat: &Seat<'_>, case: &Case) -> Result<Trial> {
        let name = self.job.name();
        let folder = !self.job.makes_folder();
        let (kind, steps, description) = match case {
            Case::Cut(state) => {
                let mut trial = Trial::of(format!("{name}, cuts"));
                let found = self.static_fault(seat, state)?.or(self.dynamic_fault(seat, state)?);
                trial.wrong(found.map(|text| format!("{}: {text}", state.description)));
                return Ok(trial);
            }
            Case::Without(number) => ("without one sync", without(&self.steps, &[*number]), None),
            Case::Late(number) => ("with a late sync", exchanged(&self.steps, *number), None),
            Case::WithoutAll(kind, numbers) => ("without a kind of sync", without(&self.steps, numbers), Some(kind)),
        };
        let mut trial = Trial::of(format!("{name}, {kind}"));
        let states = new_states(&steps, &self.states, folder);
        let caught = self.is_caught(seat, &states)?;
        let outcome = match (caught, states.is_empty()) {
            (true, _) => "caught",
            (false, true) => "no new state",
            (false, false) => "no wrong state",
        };
        trial.count(outcome, 1);
        if let Some(description) = description.filter(|_| !caught) {
            trial.count(format!("not caught: {description}"), 1);
        }
        Ok(trial)
    }

    /// True if any of the states is wrong. Checks first what needs no command.
    fn is_caught(&self, seat: &Seat<'_>, states: &[State]) -> Result<bool> {
        for state in states {
            if self.static_fault(seat, state)?.is_some() {
                return Ok(true);
            }
        }
        for state in states {
            if self.dynamic_fault(seat, state)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What is wrong with the disk as it is.
    fn static_fault(&self, seat: &Seat<'_>, state: &State) -> Result<Option<String>> {
        seat.put(&state.tree)?;
        let wrong = oracle::disturbed(seat, self.job, None)?;
        Ok(wrong.or_else(|| state.promise.broken(&state.tree, self.job)))
    }

    /// What is wrong after a rerun of the command.
    fn dynamic_fault(&self, seat: &Seat<'_>, state: &State) -> Result<Option<String>> {
        seat.put(&state.tree)?;
        if !self.job.makes_folder() {
            fs::create_dir_all(seat.output())?;
        }
        let ended = seat.run(self.job)?;
        oracle::resumed(seat, self.job, &ended)
    }
}
