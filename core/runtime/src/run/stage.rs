//! Stages of a run: each on a thread of its own, from a bounded queue into the next.
//!
//! Success is a message. [`Message::End`] goes through all stages to the last one; a queue that closes without it is the
//! end of a run that failed, whatever the reason. The first failure is told, not what follows from it.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender};

use super::batch::Batch;
use super::places::{Place, Places};
use crate::{Result, RunError};

/// What passes from stage to stage.
pub enum Message {
    /// Rows, and the place that they take.
    Rows(Box<Batch>, Place),
    /// All rows have passed.
    End(End),
}

/// What must have passed when the end comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Shards.
    pub shards: u64,
    /// Rows.
    pub rows: u64,
}

impl End {
    /// Counts a batch in.
    pub fn count(&mut self, batch: &Batch) {
        self.shards += u64::from(batch.ends_shard);
        self.rows += batch.keys.len() as u64;
    }
}

/// What the stages of a run share.
#[derive(Default)]
pub struct Line {
    /// The first failure of any stage.
    cause: Mutex<Option<RunError>>,
    /// How long each stage worked.
    worked: Mutex<HashMap<&'static str, Duration>>,
}

impl Line {
    /// The first stage: sends what `batches` gives, each once there is a place for it, and then the end.
    pub fn feed(
        &self,
        name: &'static str,
        places: &Places,
        mut batches: impl Iterator<Item = Result<Batch>>,
        to: &Sender<Message>,
    ) {
        let mut end = End::default();
        loop {
            let place = places.take();
            // Later stages drop what comes after a failure: without this look, all rows would be read for nothing.
            if self.has_failed() {
                return;
            }
            let message = match self.guarded(name, || batches.next().transpose()) {
                Some(Some(batch)) => {
                    end.count(&batch);
                    Message::Rows(Box::new(batch), place)
                }
                Some(None) => Message::End(end),
                None => return,
            };
            let ended = matches!(message, Message::End(_));
            if to.send(message).is_err() || ended {
                return;
            }
        }
    }

    /// A stage between two others: does `work` on the rows that come, and passes everything on.
    pub fn pass(
        &self,
        name: &'static str,
        from: &Receiver<Message>,
        to: &Sender<Message>,
        mut work: impl FnMut(&mut Batch) -> Result<()>,
    ) {
        for mut message in from {
            let done = match &mut message {
                Message::Rows(batch, _) => self.guarded(name, || work(batch)),
                Message::End(_) => Some(()),
            };
            let passed = match done {
                Some(()) => to.send(message).is_ok(),
                // The first stage may be waiting for the place that this message has.
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

    /// The last stage: does `work` on what comes until that gives a result, as it must at the end. No result means that
    /// the run failed.
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

    /// How many seconds a stage worked; waiting for its neighbours does not count.
    pub fn seconds(&self, name: &str) -> f64 {
        locked(&self.worked).get(name).map_or(0.0, Duration::as_secs_f64)
    }

    /// What the run comes to, given the result of its last stage.
    ///
    /// # Errors
    /// The first failure of any stage; [`RunError::Internal`] if none has a result, and none says why.
    pub fn outcome<T>(&self, result: Option<T>) -> Result<T> {
        match (locked(&self.cause).take(), result) {
            (Some(cause), _) => Err(cause),
            (None, Some(result)) => Ok(result),
            (None, None) => Err(RunError::Internal("the stages ended before all rows had passed".into())),
        }
    }

    fn has_failed(&self) -> bool {
        locked(&self.cause).is_some()
    }

    /// Does a piece of a stage's work. An error and a panic both become the run's failure.
    fn guarded<T>(&self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Option<T> {
        let began = Instant::now();
        let done = catch_unwind(AssertUnwindSafe(work));
        *locked(&self.worked).entry(name).or_default() += began.elapsed();
        let failure = match done {
            Ok(Ok(done)) => return Some(done),
            Ok(Err(error)) => error,
            Err(panic) => RunError::Internal(format!("stage `{name}` panicked: {}", words(panic.as_ref()))),
        };
        locked(&self.cause).get_or_insert(failure);
        None
    }
}

/// Starts a stage on a thread of its own.
///
/// # Errors
/// The system has no thread for it. What the stage holds is dropped, so that its neighbours end.
pub fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &'static str,
    stage: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    let no_thread = |source| RunError::Io { path: format!("the thread of stage `{name}`"), source };
    Builder::new().name(name.into()).spawn_scoped(scope, stage).map_err(no_thread)
}

/// Drops what still comes, so that no earlier stage waits for a place for ever.
fn drain(from: &Receiver<Message>) {
    from.iter().for_each(drop);
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given")
}

#[cfg(test)]
mod tests;
