//! Part `kills`: `kill -9` at a random moment, then reruns the command until it succeeds.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::job::Job;
use super::oracle;
use super::running::{Ended, Running, Victim, all_gone};
use super::seat::Seat;
use super::tally::Trial;
use crate::random::Random;

/// The commands that are killed.
const JOBS: [Job; 5] = [Job::Run, Job::Train, Job::Import, Job::Generate, Job::Eval];
/// Maximum number of reruns: an engine that outlives its front may hold the folder for a moment.
const AGAIN: usize = 40;

/// Kills one to three times, then reruns the command until it succeeds.
///
/// # Errors
/// A command cannot be started, or its output cannot be read.
pub fn attempt(seat: &Seat<'_>, random: &mut Random) -> Result<Trial> {
    let job = *random.of_all(&JOBS);
    let mut trial = Trial::of(job.name());
    let mut orphans = Vec::new();
    seat.clear(job)?;
    for _ in 0..*random.of_all(&[1, 1, 1, 2, 3]) {
        // An import has no engine.
        let victim = if job == Job::Import { Victim::Front } else { *random.of_all(&Victim::ALL) };
        let mut running = seat.start(&mut seat.command(job), "killed")?;
        wait(seat, job, &mut running, random)?;
        let (killed, engines) = running.kill(victim)?;
        let all_dead = victim != Victim::Front || engines.is_empty();
        orphans.extend(engines);
        let ended = running.end()?;
        if killed {
            trial.count("kills", 1);
            trial.count(victim.name(), 1);
        } else {
            trial.count("too late", 1);
        }
        if !killed || victim == Victim::Engine {
            trial.wrong(ended.disorder());
        }
        if all_dead {
            trial.wrong(oracle::disturbed(seat, job, None)?);
        }
    }
    let ended = again(seat, job, &mut trial)?;
    trial.wrong(all_gone(&orphans));
    trial.wrong(oracle::resumed(seat, job, &ended)?);
    trial.count("temporary files left", seat.snapshot()?.left as u64);
    Ok(trial)
}

/// Reruns the command until it succeeds or the attempts are used up.
///
/// # Errors
/// It cannot be started.
pub fn again(seat: &Seat<'_>, job: Job, trial: &mut Trial) -> Result<Ended> {
    let mut ended = seat.run(job)?;
    for _ in 0..AGAIN {
        if ended.code == Some(0) {
            break;
        }
        trial.wrong(ended.disorder());
        std::thread::sleep(Duration::from_millis(50));
        ended = seat.run(job)?;
    }
    Ok(ended)
}

/// Waits for a random moment: a share of the command's time, or of the files that it writes.
fn wait(seat: &Seat<'_>, job: Job, running: &mut Running, random: &mut Random) -> Result<()> {
    let reference = seat.project.reference(job);
    if random.below(2) == 0 {
        std::thread::sleep(Duration::from_secs_f64(random.share() * reference.seconds));
        return Ok(());
    }
    let wanted = random.below(reference.snapshot.len() as u64 + 1) as usize;
    let begin = Instant::now();
    while files(&seat.output()) < wanted && begin.elapsed().as_secs_f64() < 20.0 && !running.has_ended()? {
        std::thread::sleep(Duration::from_micros(300));
    }
    std::thread::sleep(Duration::from_micros(random.below(3000)));
    Ok(())
}

/// Number of files in a folder and its sub-folders.
fn files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.file_type().is_ok_and(|kind| kind.is_dir()) { files(&entry.path()) } else { 1 }).sum()
}
