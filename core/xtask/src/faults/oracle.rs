//! Decides whether an outcome is correct: the output equals that of an undisturbed command in bytes, or the command
//! exits with 1, 2 or 3 and nothing marks the output as complete.

use anyhow::Result;

use super::job::Job;
use super::running::Ended;
use super::seat::Seat;

/// What is wrong with the output of a disturbed command; `ended` is its end unless it was killed.
///
/// # Errors
/// The output cannot be read.
pub fn disturbed(seat: &Seat<'_>, job: Job, ended: Option<&Ended>) -> Result<Option<String>> {
    if let Some(disorder) = ended.and_then(Ended::disorder) {
        return Ok(Some(disorder));
    }
    let found = seat.snapshot()?;
    let wanted = &seat.project.reference(job).snapshot;
    let done = ended.is_some_and(|ended| ended.code == Some(0));
    let said = if done { "exit 0".into() } else { format!("a {} stands", job.proof()) };
    if done || found.has(job.proof()) {
        return Ok(found.difference(wanted).map(|difference| format!("{said}, but {difference}")));
    }
    Ok(found.published_wrong(job, wanted).map(|difference| format!("without a {}, {difference}", job.proof())))
}

/// What is wrong after a rerun, which must exit with 0 and leave the bytes of an undisturbed command.
///
/// # Errors
/// The output cannot be read.
pub fn resumed(seat: &Seat<'_>, job: Job, ended: &Ended) -> Result<Option<String>> {
    if ended.code != Some(0) {
        return Ok(Some(format!("the rerun fails: {}", ended.description())));
    }
    let difference = seat.snapshot()?.difference(&seat.project.reference(job).snapshot);
    Ok(difference.map(|difference| format!("the rerun exits with 0, but {difference}")))
}

/// What is wrong with rows or weights of an output marked as complete. Other records may be damaged.
///
/// # Errors
/// The output cannot be read.
pub fn published(seat: &Seat<'_>, job: Job) -> Result<Option<String>> {
    let found = seat.snapshot()?;
    let wanted = &seat.project.reference(job).snapshot;
    Ok(found.lack_of(wanted, |name| job.published(name) || name.starts_with("data")))
}
