//! The stages of a run. Each has its own thread and reads from a bounded queue.
//!
//! [`Message::End`] marks success and passes through all stages. A queue that closes without it means that the run failed.
//! The first failure is reported, not its consequences.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender};

use super::micro_batch::MicroBatch;
use super::permits::{Permit, Permits};
use crate::{Result, RunError};

/// A message from a stage to the next one.
pub enum Message {
    /// Rows, with the permit to hold them in memory.
    Rows(Box<MicroBatch>, Permit),
    /// All rows have passed. Holds the totals that the first stage read.
    End(Totals),
}

/// Numbers of shards and rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Complete shards.
    pub shards: u64,
    /// Rows.
    pub rows: u64,
}

impl Totals {
    /// Adds a micro-batch.
    pub fn count(&mut self, batch: &MicroBatch) {
        self.shards += u64::from(batch.ends_shard);
        self.rows += batch.keys.len() as u64;
    }
}

/// The shared state of the stages of a run.
#[derive(Default)]
pub struct Stages {
    /// The first failure of any stage.
    cause: Mutex<Option<RunError>>,
    /// Working time of each stage.
    worked: Mutex<HashMap<&'static str, Duration>>,
}

impl Stages {
    /// Runs the first stage: sends each item of `batches` after acquiring a permit, then the end.
    pub fn feed(
        &self,
        name: &'static str,
        permits: &Permits,
        mut batches: impl Iterator<Item = Result<MicroBatch>>,
        to: &Sender<Message>,
    ) {
        let mut read = Totals::default();
        loop {
            let permit = permits.acquire();
            // Later stages drop all rows after a failure, so reading on would be useless.
            if self.has_failed() {
                return;
            }
            let message = match self.guarded(name, || batches.next().transpose()) {
                Some(Some(batch)) => {
                    read.count(&batch);
                    Message::Rows(Box::new(batch), permit)
                }
                Some(None) => Message::End(read),
                None => return,
            };
            let ended = matches!(message, Message::End(_));
            if to.send(message).is_err() || ended {
                return;
            }
        }
    }

    /// Runs a middle stage: applies `work` to all rows, and sends every message to the next stage.
    pub fn pass(
        &self,
        name: &'static str,
        from: &Receiver<Message>,
        to: &Sender<Message>,
        mut work: impl FnMut(&mut MicroBatch) -> Result<()>,
    ) {
        for mut message in from {
            let done = match &mut message {
                Message::Rows(batch, _) => self.guarded(name, || work(batch)),
                Message::End(_) => Some(()),
            };
            let passed = match done {
                Some(()) => to.send(message).is_ok(),
                // The first stage may be waiting for this message's permit.
                None => {
                    drop(message);
                    false
                }
            };
            if !passed {
                return drain(from);
            }
        }
    }

    /// Runs the last stage: applies `work` to all messages until it returns a result, as it must at the end. `None` means
    /// that the run failed.
    pub fn take<T>(
        &self,
        name: &'static str,
        from: &Receiver<Message>,
        mut work: impl FnMut(Message) -> Result<Option<T>>,
    ) -> Option<T> {
        for message in from {
            match self.guarded(name, || work(message)) {
                Some(None) => {}
                Some(result) => return result,
                None => {
                    drain(from);
                    return None;
                }
            }
        }
        None
    }

    /// Working seconds of a stage, without waiting for other stages.
    pub fn seconds(&self, name: &str) -> f64 {
        locked(&self.worked).get(name).map_or(0.0, Duration::as_secs_f64)
    }

    /// Returns the result of the last stage.
    ///
    /// # Errors
    /// The first failure of any stage; [`RunError::Internal`] without a result and without a failure.
    pub fn outcome<T>(&self, result: Option<T>) -> Result<T> {
        match (locked(&self.cause).take(), result) {
            (Some(cause), _) => Err(cause),
            (None, Some(result)) => Ok(result),
            (None, None) => Err(RunError::Internal("the stages ended before the last row".into())),
        }
    }

    /// True if a stage has failed.
    pub fn has_failed(&self) -> bool {
        locked(&self.cause).is_some()
    }

    /// Runs a piece of a stage's work. An error or a panic becomes the run's failure.
    fn guarded<T>(&self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Option<T> {
        let started = Instant::now();
        let done = catch_unwind(AssertUnwindSafe(work));
        *locked(&self.worked).entry(name).or_default() += started.elapsed();
        let failure = match done {
            Ok(Ok(done)) => return Some(done),
            Ok(Err(error)) => error,
            Err(panic) => RunError::Internal(format!("stage `{name}` panicked: {}", message_of(panic.as_ref()))),
        };
        locked(&self.cause).get_or_insert(failure);
        None
    }
}

/// Starts a stage on its own thread.
///
/// # Errors
/// The thread cannot be started. The stage is dropped with its queues, so that the other stages end.
pub fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &'static str,
    stage: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    let no_thread = |source| RunError::Io { path: format!("the thread of stage `{name}`"), source };
    Builder::new().name(name.into()).spawn_scoped(scope, stage).map_err(no_thread)
}

/// Drops all further messages, so that no earlier stage waits for a permit forever.
fn drain(from: &Receiver<Message>) {
    from.iter().for_each(drop);
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

#[cfg(test)]
mod tests;
