//! Attempts at shards. A shard that kills its process again and again is given up: its rows fail, and the job goes on.
//!
//! An attempt is counted before the shard begins. When a process dies, every shard that it had begun has one attempt more, the
//! guilty one among innocent neighbours. So a shard with an earlier attempt runs alone: what dies then is its own fault.

mod begun;

use std::collections::BTreeMap;
use std::time::Duration;

use anyflow_datasets::{Failure, OutputDir, ShardAttempts};
use anyflow_plan::order::Order;

use begun::Begun;

use super::output_rows::OutputRows;
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
    /// Attempts of earlier processes at shards that are not committed.
    earlier: BTreeMap<u64, ShardAttempts>,
    begun: Begun,
}

impl<'a> Tries<'a> {
    /// Reads the attempts of earlier processes; `None` for an order that counts none.
    ///
    /// # Errors
    /// The disk or the store.
    pub fn of(order: &Order, output: &'a OutputDir) -> Result<Option<Tries<'a>>> {
        if order.max_attempts.is_none() {
            return Ok(None);
        }
        let mut earlier = BTreeMap::new();
        for mut found in output.attempts()? {
            if let Some(death) = order.last_death.as_ref().filter(|death| found.error.as_ref() != Some(*death)) {
                found.error = Some(death.clone());
                output.keep_attempts(&found)?;
            }
            earlier.insert(found.shard, found);
        }
        Ok(Some(Tries { output, earlier, begun: Begun::default() }))
    }

    /// Gives up the shards that have had their attempts: all their rows fail. Returns these shards.
    ///
    /// # Errors
    /// The rows' keys cannot be read; the disk or the store.
    pub fn give_up(
        &mut self,
        most: u64,
        reader: &ShardReader<'_>,
        rows: &OutputRows<'_>,
        events: &Events,
    ) -> Result<Vec<u64>> {
        let due: Vec<u64> =
            self.earlier.values().filter(|found| found.attempts >= most).map(|found| found.shard).collect();
        for shard in &due {
            let Some(found) = self.earlier.remove(shard) else { continue };
            let last = found.error.as_deref().unwrap_or(NO_MESSAGE);
            let text = format!("{} attempts at its shard killed the process; the last: {last}", found.attempts);
            self.output.shard(*shard, &rows.features)?.commit(&failures(reader, *shard, &text)?)?;
            self.output.forget_attempts(*shard)?;
            events.note(format!("shard {shard} is given up, and its rows fail: {text}"));
        }
        Ok(due)
    }

    /// The shards, each counted before it begins, and alone if it had an earlier attempt. Ends when the run has failed.
    pub fn counted<'t>(
        &'t self,
        shards: impl Iterator<Item = u64> + 't,
        has_failed: impl Fn() -> bool + 't,
    ) -> impl Iterator<Item = Result<u64>> + 't {
        let mut alone = false;
        shards.map_while(move |shard| {
            let earlier = self.earlier.get(&shard);
            if alone || earlier.is_some() {
                while !self.begun.all(|begun| self.output.committed(begun)) {
                    if has_failed() {
                        return None;
                    }
                    std::thread::sleep(PAUSE);
                }
            }
            alone = earlier.is_some();
            let attempts = 1 + earlier.map_or(0, |earlier| earlier.attempts);
            let error = earlier.and_then(|earlier| earlier.error.clone());
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
            let _ = match self.earlier.get(&shard) {
                Some(earlier) => self.output.keep_attempts(earlier),
                None => self.output.forget_attempts(shard),
            };
        }
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
