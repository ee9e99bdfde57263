//! Runs many tries, two at a time, each with its own random numbers.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::project::Project;
use super::seat::Seat;
use super::tally::{Tally, Trial};
use crate::random::Random;

/// Concurrent tries.
const WORKERS: usize = 2;
/// Interval of progress lines.
const REPORT: Duration = Duration::from_secs(30);

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// After this number of tries.
    Tries(u64),
    /// When a figure reaches this value.
    Sum(&'static str, u64),
}

/// The tries of a part.
pub struct Crowd<'p> {
    /// The project.
    pub project: &'p Project,
    /// Name of the part.
    pub part: &'static str,
    /// Seed of all tries.
    pub seed: u64,
    /// The only try to run, if given.
    pub only: Option<u64>,
}

impl Crowd<'_> {
    /// Runs tries until the goal is reached.
    ///
    /// # Errors
    /// The first error of a try that could not be run. Wrong outcomes are not errors.
    pub fn all(
        &self,
        goal: Goal,
        attempt: impl Fn(&Seat<'_>, u64, &mut Random) -> Result<Trial> + Sync,
    ) -> Result<Tally> {
        self.numbered(goal, |seat, number| attempt(seat, number, &mut Random::of(self.seed, self.part, number)))
    }

    /// As [`Crowd::all`], for a list of tries.
    ///
    /// # Errors
    /// As [`Crowd::all`].
    pub fn numbered(&self, goal: Goal, attempt: impl Fn(&Seat<'_>, u64) -> Result<Trial> + Sync) -> Result<Tally> {
        let tally = Mutex::new((Tally::new(self.part), Instant::now()));
        let next = AtomicU64::new(0);
        let failed = AtomicBool::new(false);
        let work = |worker: usize| -> Result<()> {
            let seat = Seat::new(self.project, &format!("seat-{worker}"))?;
            while let Some(number) = self.take(&next, goal, &tally).filter(|_| !failed.load(Ordering::Relaxed)) {
                let trial = attempt(&seat, number).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
                let mut tally = tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                trial.wrong.iter().for_each(|text| eprintln!("{} {number}: {text}", self.part));
                tally.0.add(number, trial);
                if tally.1.elapsed() > REPORT {
                    tally.1 = Instant::now();
                    eprintln!("{}: {} tries, {} wrong", self.part, tally.0.sum(None), tally.0.wrong());
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS).map(|worker| scope.spawn(move || work(worker))).collect();
            workers.into_iter().try_for_each(|worker| {
                worker.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a worker of {} panicked", self.part)))
            })
        })?;
        Ok(tally.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).0)
    }

    /// The number of the next try, if there is one.
    fn take(&self, next: &AtomicU64, goal: Goal, tally: &Mutex<(Tally, Instant)>) -> Option<u64> {
        let number = next.fetch_add(1, Ordering::Relaxed);
        match (self.only, goal) {
            (Some(only), _) => (number == 0).then_some(only),
            (None, Goal::Tries(tries)) => (number < tries).then_some(number),
            (None, Goal::Sum(name, enough)) => {
                let tally = tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                (tally.0.sum(Some(name)) < enough).then_some(number)
            }
        }
    }
}
