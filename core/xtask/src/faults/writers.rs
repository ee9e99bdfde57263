//! Part `writers`: two commands write into one folder, the second at a random moment of the first.

use std::fs;
use std::io;
use std::time::Duration;

use anyhow::Result;

use super::job::Job;
use super::running::{Ended, Victim, all_gone};
use super::seat::Seat;
use super::tally::Trial;
use super::{kills, oracle};
use crate::random::Random;

/// Two commands, and what happens between them.
#[derive(Clone, Copy, Debug)]
struct Pair {
    name: &'static str,
    first: Job,
    second: Second,
    between: Between,
}

/// The second command.
#[derive(Clone, Copy, Debug)]
enum Second {
    /// A job of ours.
    Job(Job),
    /// Generates other rows into the file that the first command generates and reads.
    Sources,
}

/// What happens before the second command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    Nothing,
    /// Kills the front of the first; its engine may survive.
    Orphaned,
    /// Removes the folder, and maybe kills the front of the first.
    Removed,
}

const PAIRS: [Pair; 8] = [
    Pair { name: "run, run", first: Job::Run, second: Second::Job(Job::Run), between: Between::Nothing },
    Pair { name: "run, orphan", first: Job::Run, second: Second::Job(Job::Run), between: Between::Orphaned },
    Pair { name: "run, rm -rf, run", first: Job::Run, second: Second::Job(Job::RunOther), between: Between::Removed },
    Pair { name: "train, train", first: Job::Train, second: Second::Job(Job::Train), between: Between::Nothing },
    Pair { name: "train, orphan", first: Job::Train, second: Second::Job(Job::Train), between: Between::Orphaned },
    Pair {
        name: "import, import",
        first: Job::Import,
        second: Second::Job(Job::ImportOther),
        between: Between::Nothing,
    },
    Pair { name: "eval, run", first: Job::Eval, second: Second::Job(Job::Run), between: Between::Nothing },
    Pair { name: "generate, train", first: Job::Generate, second: Second::Sources, between: Between::Nothing },
];

/// Runs the pair of this number.
///
/// # Errors
/// A command cannot be started, or its output cannot be read.
pub fn attempt(seat: &Seat<'_>, number: u64, random: &mut Random) -> Result<Trial> {
    let mut pair = PAIRS[(number % PAIRS.len() as u64) as usize];
    // Whichever of two kinds of job comes first, the other must not touch its output.
    if let (Job::Eval, Second::Job(second), true) = (pair.first, pair.second, random.below(2) == 0) {
        (pair.first, pair.second) = (second, Second::Job(Job::Eval));
    }
    let mut trial = Trial::of(pair.name);
    seat.clear(pair.first)?;
    let mut first = seat.start(&mut seat.command(pair.first), "first")?;
    std::thread::sleep(Duration::from_secs_f64(1.2 * random.share() * seat.project.reference(pair.first).seconds));
    let orphaned = match pair.between {
        Between::Nothing => false,
        Between::Orphaned => true,
        Between::Removed => random.below(2) == 0,
    };
    let mut orphans = Vec::new();
    if orphaned {
        let (killed, engines) = first.kill(Victim::Front)?;
        trial.count("killed front", u64::from(killed));
        orphans = engines;
    }
    if pair.between == Between::Removed {
        remove(seat);
    }
    let mut command = match pair.second {
        Second::Job(job) => seat.command(job),
        Second::Sources => {
            let mut command = seat.project.command();
            command.args("data generate glyphs --rows 40 --seed 2 --output".split(' '));
            command.arg(seat.output().join("data/digits.parquet"));
            command
        }
    };
    let second = seat.start(&mut command, "second")?.end()?;
    let first = first.end()?;
    let survivor = all_gone(&orphans);
    trial.wrong(second.disorder());
    if !orphaned {
        trial.wrong(first.disorder());
    }
    for (name, ended) in [("first", &first), ("second", &second)] {
        trial.count(format!("{name} succeeded"), u64::from(ended.code == Some(0)));
    }
    trial.wrong(survivor);
    judge(seat, &pair, [&first, &second], &mut trial)?;
    Ok(trial)
}

/// Removes the folder, even while another process creates files in it.
fn remove(seat: &Seat<'_>) {
    for _ in 0..1000 {
        match fs::remove_dir_all(seat.output()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {}
            _ => return,
        }
    }
}

fn judge(seat: &Seat<'_>, pair: &Pair, [first, second]: [&Ended; 2], trial: &mut Trial) -> Result<()> {
    let done = |ended: &Ended| ended.code == Some(0);
    let found = seat.snapshot()?;
    let wanted = |job: Job| &seat.project.reference(job).snapshot;
    match (pair.first, pair.second) {
        (job, Second::Job(same)) if job == same => {
            let description = if done(first) { first } else { second };
            trial.wrong(oracle::disturbed(seat, job, (done(first) || done(second)).then_some(description))?);
            let ended = kills::again(seat, job, trial)?;
            trial.wrong(oracle::resumed(seat, job, &ended)?);
        }
        (Job::Import, _) => {
            let [ours, others] = [Job::Import, Job::ImportOther].map(|job| found.difference(wanted(job)));
            let wrong = match (done(first), done(second)) {
                (true, false) => ours,
                (false, true) => others,
                (true, true) => ours.and(others),
                (false, false) => None,
            };
            trial.wrong(wrong.map(|text| format!("an import said exit 0, but {text}")));
        }
        (job, Second::Job(other)) if pair.between == Between::Removed => {
            let wrong = found.difference(wanted(other));
            let stands = found.has(other.proof());
            let wrong = if done(second) { wrong } else { wrong.filter(|_| stands).and(found.difference(wanted(job))) };
            trial.wrong(wrong.map(|text| format!("{}, but {text}", second.description())));
        }
        (job, Second::Job(other)) => {
            for (job, ended) in [(job, first), (other, second)] {
                let wrong = found.lack(wanted(job), &[]);
                trial
                    .wrong(wrong.filter(|_| done(ended)).map(|text| format!("{} said exit 0, but {text}", job.name())));
                let again = seat.run(job)?;
                trial.wrong(again.disorder());
                let refused = done(ended) && again.code != Some(0);
                trial.wrong(refused.then(|| format!("{} said exit 0, then {}", job.name(), again.description())));
                let wrong = seat.snapshot()?.lack(wanted(job), &[]).filter(|_| again.code == Some(0));
                trial.wrong(wrong.map(|text| format!("{} again said exit 0, but {text}", job.name())));
            }
        }
        (job, Second::Sources) => {
            let wrong = found.lack(wanted(job), &["data/digits.parquet"]).filter(|_| done(first));
            trial.wrong(wrong.map(|text| format!("the training said exit 0, but {text}")));
            let again = seat.run(job)?;
            trial.wrong(again.disorder());
            let wrong = seat.snapshot()?.lack(wanted(job), &[]).filter(|_| again.code == Some(0));
            trial.wrong(wrong.map(|text| format!("the training again said exit 0, but {text}")));
        }
    }
    Ok(())
}
