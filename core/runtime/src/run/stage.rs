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
        // Later stages drop what comes after a failure: without this look, all rows would be read for nothing.
        while !self.has_failed() {
            let place = places.take();
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
            if done.is_none() || to.send(message).is_err() {
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
mod tests {
    use std::collections::{BTreeMap, HashMap};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use anyflow_datasets::RowKey;
    use crossbeam::channel::bounded;
    use indexmap::IndexMap;

    use super::*;

    fn rows(shard: u64) -> Batch {
        Batch {
            shard,
            first_row: shard,
            ends_shard: true,
            input: None,
            keys: vec![RowKey::new(shard.to_string())],
            values: HashMap::new(),
            cells: IndexMap::new(),
            failures: BTreeMap::new(),
        }
    }

    /// Twenty rows through three stages with so many places; what reached the end, if it was reached.
    fn run(
        places: usize,
        batches: impl Iterator<Item = Result<Batch>> + Send,
        work: impl FnMut(&mut Batch) -> Result<()> + Send,
    ) -> Result<(End, End)> {
        let (line, places) = (Line::default(), Places::new(places));
        let ((to_pass, from_feed), (to_take, from_pass)) = (bounded(places.number()), bounded(places.number()));
        let (line, places) = (&line, &places);
        std::thread::scope(|scope| {
            let taking = start(scope, "take", move || {
                let mut passed = End::default();
                line.take("take", &from_pass, |message| match message {
                    Message::Rows(batch, _place) => {
                        passed.count(&batch);
                        Ok(None)
                    }
                    Message::End(end) => Ok(Some((end, passed))),
                })
            })?;
            start(scope, "pass", move || line.pass("pass", &from_feed, &to_take, work))?;
            start(scope, "feed", move || line.feed("feed", places, batches, &to_pass))?;
            line.outcome(taking.join().unwrap())
        })
    }

    #[test]
    fn the_end_tells_what_must_have_passed() {
        for places in [1, 3] {
            let (end, passed) = run(places, (0..20).map(|shard| Ok(rows(shard))), |_| Ok(())).unwrap();
            assert_eq!((end, passed), (End { shards: 20, rows: 20 }, end));
        }
    }

    #[test]
    fn a_failure_of_any_stage_is_told_and_the_others_end() {
        let refused = |shard: u64| {
            move |batch: &mut Batch| match batch.shard == shard {
                true => Err(RunError::Data("no".into())),
                false => Ok(()),
            }
        };
        for places in [1, 3] {
            let all = || (0..20).map(|shard| Ok(rows(shard)));
            assert!(matches!(run(places, all(), refused(4)), Err(RunError::Data(_))));
            let cut = all().take(4).chain([Err(RunError::Data("no".into()))]);
            assert!(matches!(run(places, cut, |_| Ok(())), Err(RunError::Data(_))));
        }
    }

    #[test]
    fn a_panic_of_a_stage_is_a_failure_of_the_run() {
        let panicked = run(2, (0..20).map(|shard| Ok(rows(shard))), |batch| {
            assert_ne!(batch.shard, 4, "four");
            Ok(())
        });
        let text = panicked.unwrap_err().to_string();
        assert!(text.contains("stage `pass` panicked") && text.contains("four"), "{text}");
        let panicked =
            run(2, (0..20).map(|shard| if shard < 4 { Ok(rows(shard)) } else { panic!("four") }), |_| Ok(()));
        assert!(panicked.unwrap_err().to_string().contains("stage `feed` panicked"));
    }

    #[test]
    fn what_is_read_ends_soon_after_a_failure() {
        let read = AtomicUsize::new(0);
        let all = (0..1000).map(|shard| {
            read.fetch_add(1, Ordering::SeqCst);
            Ok(rows(shard))
        });
        run(2, all, |_| Err(RunError::Data("no".into()))).unwrap_err();
        assert!(read.load(Ordering::SeqCst) <= 5, "{read:?}");
    }

    #[test]
    fn a_queue_that_closes_without_the_end_is_a_failure() {
        let line = Line::default();
        let (to, from) = bounded::<Message>(1);
        drop(to);
        let nothing: Option<()> = line.take("take", &from, |_| Ok(None));
        assert!(matches!(line.outcome(nothing), Err(RunError::Internal(_))));
    }
}
