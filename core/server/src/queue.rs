//! Takes runs from the store to the engine, several at a time, so that they share batches there.
//!
//! A run that once ended without an outcome is suspected of killing the engine, so it runs alone: if the engine dies again,
//! no other run is to blame.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyflow_plan::event::Event;
use anyflow_plan::service::{RowsCall, ServiceCall};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::cells::{self, Rows};
use crate::config::Limits;
use crate::engine::{CallEnd, EngineHost};
use crate::error::ServerError;
use crate::live::Live;
use crate::log;
use crate::metrics::Metrics;
use crate::pipeline::Pipeline;
use crate::queue_table::now;
use crate::redact::without_paths;
use crate::request::RunRequest;
use crate::state::RunState;
use crate::store::{RunEnd, Store, StoredRun};

/// Interval at which the queue is read when no change is signalled.
const LOOK: Duration = Duration::from_secs(1);
/// The most rows of a preview that are sent to followers.
const PREVIEW_ROWS: usize = 8;

/// What requests and runs share.
pub struct Queue {
    /// Queue and history.
    pub store: Store,
    /// Runs that are not over.
    pub live: Live,
    /// The engine.
    pub engine: Arc<EngineHost>,
    /// The pipelines by name.
    pub pipelines: IndexMap<String, Pipeline>,
    /// The limits of requests.
    pub limits: Limits,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// The runs in the engine.
#[derive(Default)]
struct Running {
    runs: usize,
    /// True while a suspected run is among them: then it is the only one.
    alone: bool,
    is_stopping: bool,
}

/// Starts runs when there is room.
pub struct Dispatcher {
    /// The queue.
    pub queue: Queue,
    running: Mutex<Running>,
    changed: Condvar,
}

impl Dispatcher {
    /// Starts the thread that takes runs from the queue.
    ///
    /// # Errors
    /// [`ServerError::State`].
    pub fn start(queue: Queue) -> Result<Arc<Dispatcher>, ServerError> {
        for run in queue.store.latest(u64::from(u32::MAX))?.iter().filter(|run| !run.state.is_end()) {
            queue.live.open(&run.id);
        }
        let dispatcher = Arc::new(Dispatcher { queue, running: Mutex::default(), changed: Condvar::new() });
        let own = dispatcher.clone();
        let thread = std::thread::Builder::new().name("queue".into());
        thread.spawn(move || own.dispatch()).map_err(ServerError::State)?;
        Ok(dispatcher)
    }

    /// Tells the thread that the queue has changed.
    pub fn wake(&self) {
        self.changed.notify_all();
    }

    /// Starts no further run, and waits until those in the engine have returned to the queue.
    pub fn stop(&self, most: Duration) {
        let mut running = self.running();
        running.is_stopping = true;
        self.changed.notify_all();
        // Those that remain count as lost when the next server starts.
        drop(self.changed.wait_timeout_while(running, most, |running| running.runs > 0));
    }

    fn dispatch(self: Arc<Self>) {
        loop {
            match self.take() {
                Ok(Some(run)) => {
                    let own = self.clone();
                    let work = move || own.run(&run);
                    let thread = std::thread::Builder::new().name("run".into()).spawn(work);
                    if let Err(error) = thread {
                        log::report(&format!("a run cannot start, because no thread can: {error}"));
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    log::report(&format!("the queue cannot be read: {error}"));
                    std::thread::sleep(LOOK);
                }
            }
        }
    }

    /// Waits for the next run that may start, and begins an attempt; `None` at the end of the server.
    fn take(&self) -> rusqlite::Result<Option<StoredRun>> {
        let mut running = self.running();
        loop {
            if running.is_stopping {
                return Ok(None);
            }
            if running.runs < self.queue.limits.running
                && !running.alone
                && let Some(next) = self.queue.store.next()?
            {
                let is_suspected = next.lost > 0;
                if (!is_suspected || running.runs == 0)
                    && let Some(attempts) = self.queue.store.begin(&next.id)?
                {
                    running.runs += 1;
                    running.alone = is_suspected;
                    return Ok(Some(StoredRun { state: RunState::Running, attempts, ..next }));
                }
            }
            let waited = self.changed.wait_timeout(running, LOOK).unwrap_or_else(PoisonError::into_inner);
            running = waited.0;
        }
    }

    fn run(&self, run: &StoredRun) {
        let ended = self.queue.run(run);
        if let Err(error) = ended {
            log::report(&format!("the end of a run cannot be stored: {error}"));
        }
        let mut running = self.running();
        running.runs -= 1;
        running.alone = false;
        drop(running);
        self.changed.notify_all();
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Runs an attempt to its end.
    fn run(&self, run: &StoredRun) -> rusqlite::Result<()> {
        let id = &run.id;
        self.live.tell(id, "state", json!({"state": "running"}));
        let call = match self.call_of(run) {
            Ok(call) => call,
            Err((code, text)) => return self.end(run, failed(&code, &text)),
        };
        let rows = self.store.input(id)?.unwrap_or_default();
        let ends = self.engine.ends();
        let call = ServiceCall::Run(RowsCall { bytes: rows.len() as u64, ..call });
        let end = self.engine.call(
            &call,
            &rows,
            |connection| self.live.connect(id, connection),
            |event, rows| self.tell(id, &event, &rows),
        );
        match end {
            CallEnd::Done(result, rows) => {
                self.metrics.rows.add(result["rows"].as_u64().unwrap_or(0));
                let end = RunEnd { state: RunState::Done, failure: None, output: Some((without_texts(result), rows)) };
                self.metrics.took(now() - run.created);
                self.end(run, end)
            }
            CallEnd::Failed(..) | CallEnd::Lost if self.live.is_cancelled(id) => {
                let end = RunEnd { state: RunState::Cancelled, failure: None, output: None };
                self.end(run, end)
            }
            CallEnd::Failed(fault, text) => {
                let code = format!("{fault:?}").to_lowercase();
                self.end(run, failed(&code, &text))
            }
            CallEnd::NoEngine => self.wait_again(run),
            CallEnd::Lost => match self.engine.end_after(ends) {
                Some(end) if end.by_user => self.wait_again(run),
                end => self.lose(run, &end.map_or("its connection ended".into(), |end| end.text)),
            },
        }
    }

    fn wait_again(&self, run: &StoredRun) -> rusqlite::Result<()> {
        self.live.tell(&run.id, "state", json!({"state": "queued"}));
        self.store.give_back(&run.id, run.attempts)
    }

    fn lose(&self, run: &StoredRun, reason: &str) -> rusqlite::Result<()> {
        let state = self.store.lose(&run.id, run.attempts, &without_paths(reason))?;
        match state {
            Some(RunState::Quarantined) => self.over(run, RunState::Quarantined),
            Some(state) => self.live.tell(&run.id, "state", json!({"state": state.word()})),
            None => {}
        }
        Ok(())
    }

    fn end(&self, run: &StoredRun, end: RunEnd) -> rusqlite::Result<()> {
        if self.store.end(&run.id, run.attempts, &end)? {
            self.over(run, end.state);
            self.store.forget(self.limits.history)?;
        }
        Ok(())
    }

    /// Tells of the end of a run, which is stored.
    pub fn over(&self, run: &StoredRun, state: RunState) {
        self.metrics.ended(state);
        self.live.tell(&run.id, "state", json!({"state": state.word()}));
        self.live.close(&run.id);
    }

    fn call_of(&self, run: &StoredRun) -> Result<RowsCall, (String, String)> {
        let gone = || ("unknown-pipeline".to_string(), format!("pipeline `{}` is not served any more", run.pipeline));
        let pipeline = self.pipelines.get(&run.pipeline).ok_or_else(gone)?;
        let request: RunRequest =
            serde_json::from_str(&run.request).map_err(|error| ("internal".to_string(), error.to_string()))?;
        let plan = request.plan(pipeline).map_err(|error| (error.code, error.text))?;
        let preview_steps = request.preview_steps;
        Ok(RowsCall { plan, rows: run.rows, bytes: 0, preview_steps, first_row: 0, key: None })
    }

    /// Tells the followers of a run what the engine tells.
    fn tell(&self, id: &str, event: &Event, rows: &[u8]) {
        match event {
            Event::Begin { part, .. } if part == "load" => self.live.tell(id, "load", json!({})),
            Event::Enter { node, .. } => self.live.tell(id, "node", json!({"node": node})),
            Event::Step { node, first_row, rows, step, steps } => {
                let data = json!({"node": node, "first_row": first_row, "rows": rows, "step": step, "steps": steps});
                self.live.tell(id, "step", data);
            }
            Event::Preview { node, rows: numbers, step, steps, .. } => {
                self.metrics.previews.add(1);
                let Ok(shown) = previewed(rows) else { return };
                let numbers: Vec<_> = numbers.iter().take(PREVIEW_ROWS).collect();
                let data = json!({"node": node, "rows": numbers, "step": step, "steps": steps, "outputs": shown});
                self.live.tell(id, "preview", data);
            }
            _ => {}
        }
    }
}

/// The first rows of a preview: output -> its cells.
fn previewed(rows: &[u8]) -> Result<Map<String, Value>, String> {
    let rows = Rows::decode(rows)?;
    let mut shown = Map::new();
    for name in rows.names() {
        let Some(column) = rows.column(name) else { continue };
        let count = column.len().min(PREVIEW_ROWS);
        let cell = |row| column.get(row).map(|cell| cells::shown(cell, cells::inline)).unwrap_or_default();
        shown.insert(name.clone(), (0..count).map(cell).collect());
    }
    Ok(shown)
}

fn failed(code: &str, text: &str) -> RunEnd {
    let failure = Some((code.to_string(), without_paths(text)));
    RunEnd { state: RunState::Failed, failure, output: None }
}

/// The result with the reasons of failed rows as clients may see them.
fn without_texts(mut result: Value) -> Value {
    for failure in result["failures"].as_array_mut().into_iter().flatten() {
        if let Some(text) = failure["text"].as_str() {
            failure["text"] = without_paths(text).into();
        }
    }
    result
}
