//! Runs the commands undisturbed: what the oracle compares with.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};

use super::job::Job;
use super::project::{Project, Reference};
use super::seat::Seat;

/// Runs every command twice, and gives the results to the project.
///
/// # Errors
/// A command fails, leaves no output, or gives other bytes the second time.
pub fn record(project: &mut Project) -> Result<()> {
    let seat = Seat::new(project, "reference")?;
    let twice = |job: Job| {
        let first = run(&seat, job)?;
        let second = run(&seat, job)?;
        if let Some(difference) = second.snapshot.difference(&first.snapshot) {
            bail!("{} undisturbed gives other bytes a second time: {difference}", job.name());
        }
        Ok((job, second))
    };
    let references = Job::ALL.into_iter().map(twice).collect::<Result<BTreeMap<_, _>>>()?;
    project.references = references;
    Ok(())
}

/// Runs a job from the start.
fn run(seat: &Seat<'_>, job: Job) -> Result<Reference> {
    seat.clear(job)?;
    let ended = seat.run(job)?;
    ensure!(ended.code == Some(0), "{} undisturbed: {}", job.name(), ended.description());
    let snapshot = seat.snapshot()?;
    ensure!(snapshot.has(job.proof()), "{} undisturbed leaves no {}", job.name(), job.proof());
    Ok(Reference { snapshot, seconds: ended.seconds })
}
