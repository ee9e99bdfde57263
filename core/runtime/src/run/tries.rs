//! Attempts at shards. A shard that kills its process again and again is given up: its rows fail, and the job goes on.
//!
//! An attempt is counted before the shard begins. When a process dies, every shard that it had begun has one attempt more, the
//! guilty one among innocent neighbours. So a shard with an earlier attempt runs alone: what dies then is its own fault.

mod begun;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyflow_datasets::{Failure, Features, OutputDir, ShardAttempts};
use anyflow_plan::order::{GivenShard, Order};

pub use begun::Begun;

use super::read::ShardReader;
use crate::events::Events;
use crate::{Result, RunError};

/// The code of rows whose shard was given up.
const CODE: &str = "run.quarantined";
/// Stands for the node of a row that no node has seen.
const NODE: &str = "shard";
const NO_MESSAGE: &str = "the process ended without a message";
/// Time between two looks at what is committed.
const PAUSE: Duration = Duration::from_millis(5);

/// Counts the attempts at the shards of a run.
pub struct Tries<'a> {
    output: &'a OutputDir,
    /// The attempts that a shard has.
    most: u64,
    /// Attempts of earlier processes at shards that are not committed.
    earlier: Mutex<BTreeMap<u64, ShardAttempts>>,
    begun: Begun,
}

impl<'a> Tries<'a> {
    /// Reads the attempts of earlier processes; `None` for an order that counts none.
    ///
    /// # Errors
    /// The disk or the store.
    pub fn of(order: &Order, output: &'a OutputDir) -> Result<Option<Tries<'a>>> {
        let Some(most) = order.max_attempts else { return Ok(None) };
        let mut earlier = BTreeMap::new();
        // Others may be at work on shards that are not given to this process.
        let found = if order.is_given() { Vec::new() } else { output.attempts()? };
        for mut found in found {
            if let Some(death) = order.last_death.as_ref().filter(|death| found.error.as_ref() != Some(*death)) {
                found.error = Some(death.clone());
                output.keep_attempts(&found)?;
            }
            earlier.insert(found.shard, found);
        }
        Ok(Some(Tries { output, most, earlier: Mutex::new(earlier), begun: Begun::default() }))
    }

    /// Reads the attempts at a shard that is given. Returns true if it has had all of them.
    ///
    /// # Errors
    /// The disk or the store.
    pub fn meet(&self, given: &GivenShard) -> Result<bool> {
        let mut found = self.output.attempts_at(given.shard)?;
        if found.attempts > 0 {
            found.error = given.last_death.clone().or(found.error);
            self.earlier().insert(given.shard, found.clone());
        }
        Ok(found.attempts >= self.most)
    }

    /// Gives up the shards that have had their attempts, and returns them.
    ///
    /// # Errors
    /// As [`Tries::give_up`].
    pub fn give_up_due(&self, reader: &ShardReader<'_>, features: &Features, events: &Events) -> Result<Vec<u64>> {
        let is_due = |found: &&ShardAttempts| found.attempts >= self.most;
        let due: Vec<u64> = self.earlier().values().filter(is_due).map(|found| found.shard).collect();
        due.iter().try_for_each(|shard| self.give_up(*shard, reader, features, events))?;
        Ok(due)
    }

    /// Gives up a shard that has had its attempts: all its rows fail.
    ///
    /// # Errors
    /// The rows' keys cannot be read; the disk or the store.
    pub fn give_up(&self, shard: u64, reader: &ShardReader<'_>, features: &Features, events: &Events) -> Result<()> {
        let Some(found) = self.earlier().remove(&shard) else { return Ok(()) };
        let last = found.error.as_deref().unwrap_or(NO_MESSAGE);
        let text = format!("{} attempts at its shard killed the process; the last: {last}", found.attempts);
        self.output.shard(shard, features)?.commit(&failures(reader, shard, &text)?)?;
        self.output.forget_attempts(shard)?;
        events.note(format!("shard {shard} is given up, and its rows fail: {text}"));
        Ok(())
    }

    /// The shards, each counted before it begins, and alone if it had an earlier attempt. Ends when the run has failed.
    pub fn counted<'t>(
        &'t self,
        shards: impl Iterator<Item = Result<u64>> + 't,
        has_failed: impl Fn() -> bool + 't,
    ) -> impl Iterator<Item = Result<u64>> + 't {
        let mut alone = false;
        shards.map_while(move |shard| {
            let Ok(shard) = shard else { return Some(shard) };
            let earlier = self.earlier().get(&shard).cloned();
            if alone || earlier.is_some() {
                while !self.begun.all(|begun| self.output.committed(begun)) {
                    if has_failed() {
                        return None;
                    }
                    std::thread::sleep(PAUSE);
                }
            }
            alone = earlier.is_some();
            let attempts = 1 + earlier.as_ref().map_or(0, |earlier| earlier.attempts);
            let error = earlier.and_then(|earlier| earlier.error);
            let counted = self.output.keep_attempts(&ShardAttempts { shard, attempts, error });
            self.begun.add(shard);
            Some(counted.map(|()| shard).map_err(RunError::from))
        })
    }

    /// Forgets the attempts at a shard that is committed.
    ///
    /// # Errors
    /// The disk or the store.
    pub fn ended(&self, shard: u64) -> Result<()> {
        self.begun.remove(shard);
        Ok(self.output.forget_attempts(shard)?)
    }

    /// Takes back the attempts of this process, which ends by itself and was killed by none of them. Best effort: the error of
    /// the run is what counts.
    pub fn take_back(&self) {
        for shard in self.begun.left() {
            let _ = match self.earlier().get(&shard) {
                Some(earlier) => self.output.keep_attempts(earlier),
                None => self.output.forget_attempts(shard),
            };
        }
    }

    fn earlier(&self) -> MutexGuard<'_, BTreeMap<u64, ShardAttempts>> {
        // The map is consistent between any two statements.
        self.earlier.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rows of a shard, all failed. Only reads them: no plugin sees a cell.
fn failures(reader: &ShardReader<'_>, shard: u64, text: &str) -> Result<Vec<Failure>> {
    let mut failures = Vec::new();
    for batch in reader.batches(std::iter::once(Ok(shard))) {
        let mut batch = batch?;
        (0..batch.keys.len()).for_each(|row| batch.fail(row, NODE, CODE, text.to_string()));
        failures.extend(batch.failures.into_values());
    }
    Ok(failures)
}
