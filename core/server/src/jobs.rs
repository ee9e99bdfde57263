//! Batch jobs over datasets: each is `anyflow run` in a process of its own, so that it resumes and ends as any other. They
//! run one after the other, since each may use the whole machine.

mod attempt;
mod data;
mod request;
mod store;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyflow_datasets::{Folder, Manifest, Shard, job_progress};
use anyflow_plan::event::Event;
use serde_json::{Value, json};

use crate::live::Live;
use crate::redact::Redaction;
use crate::store::RunState;
use attempt::{Attempt, AttemptEnd};
pub use data::DataFolder;
pub use request::{CheckedJob, JobRequest};
pub use store::{JobCounts, JobStore, NewJob, StoredJob};

/// Time between two looks at the queue when nothing tells of a change.
const LOOK: Duration = Duration::from_secs(1);
/// Time to wait for a process of an earlier server that still holds the output.
const BUSY: Duration = Duration::from_millis(500);
/// The files of a job in its folder: those that repeat it alone.
const PIPELINE_FILE: &str = "pipeline.yaml";
const MODEL_FILE: &str = "model.yaml";

/// What a process of `anyflow run` gets.
pub struct JobLaunch {
    /// The pipeline.
    pub pipeline: PathBuf,
    /// The dataset; `None` for a pipeline without inputs.
    pub input: Option<PathBuf>,
    /// The folder of the output.
    pub output: PathBuf,
    /// As `--rows`.
    pub rows: Option<u64>,
    /// As `--where`.
    pub filter: Option<String>,
    /// As `--keep`.
    pub keep: Option<Vec<String>>,
}

/// Makes the command of a job: `anyflow run`, which reports its events as JSON and ends with its standard input.
pub type JobCommand = Box<dyn Fn(&JobLaunch) -> Command + Send + Sync>;

/// What the jobs of a server may use.
pub struct JobsConfig {
    /// The folder whose datasets clients may name; `None` for none.
    pub data: Option<PathBuf>,
    /// The folder of the outputs: a folder per job.
    pub folder: PathBuf,
    /// Maximum rows of a job.
    pub most_rows: u64,
    /// Maximum number of jobs that wait.
    pub most_waiting: u64,
    /// Starts a job.
    pub command: JobCommand,
}

/// The job that runs.
struct Current {
    id: String,
    attempt: Arc<Attempt>,
    counts: JobCounts,
}

/// Takes jobs from their queue.
pub struct Jobs {
    /// Queue and history.
    pub store: JobStore,
    /// Jobs that are not over.
    pub live: Live,
    /// The datasets that clients may name.
    pub data: Option<DataFolder>,
    config: JobsConfig,
    redaction: Redaction,
    running: Mutex<Running>,
    changed: Condvar,
}

#[derive(Default)]
struct Running {
    current: Option<Current>,
    is_stopping: bool,
}

impl Jobs {
    /// Opens the queue. Jobs that ran when the last server ended return to it.
    ///
    /// # Errors
    /// The disk, or the folder of the datasets.
    pub fn open(config: JobsConfig, database: &std::path::Path) -> Result<Jobs, crate::ServerError> {
        fs::create_dir_all(&config.folder).map_err(crate::ServerError::State)?;
        let data = config.data.as_deref().map(DataFolder::open).transpose()?;
        let store = JobStore::open(database)?;
        let roots = [Some(config.folder.clone()), data.as_ref().map(|data| data.root().to_path_buf())];
        let redaction = Redaction::of(roots.into_iter().flatten());
        let jobs = Jobs {
            store,
            live: Live::default(),
            data,
            config,
            redaction,
            running: Mutex::default(),
            changed: Condvar::new(),
        };
        for job in jobs.store.unfinished()? {
            if job.state == RunState::Running {
                jobs.lose(&job, "the server ended during the job")?;
            }
            jobs.live.open(&job.id);
        }
        Ok(jobs)
    }

    /// Starts the thread that runs jobs.
    ///
    /// # Errors
    /// No thread can start.
    pub fn start(self: &Arc<Self>) -> std::io::Result<()> {
        let own = self.clone();
        std::thread::Builder::new().name("jobs".into()).spawn(move || own.work()).map(drop)
    }

    /// The limits of requests.
    pub fn most_rows(&self) -> u64 {
        self.config.most_rows
    }

    /// Puts a job into the queue. False if too many wait.
    ///
    /// # Errors
    /// The disk.
    pub fn add(&self, job: &NewJob) -> rusqlite::Result<bool> {
        self.live.open(&job.id);
        let added = self.store.add(job, self.config.most_waiting);
        if !matches!(added, Ok(true)) {
            self.live.close(&job.id);
        }
        self.changed.notify_all();
        added
    }

    /// Cancels a job that is not over.
    ///
    /// # Errors
    /// The disk.
    pub fn cancel(&self, id: &str) -> rusqlite::Result<()> {
        if self.store.cancel(id)? {
            self.over(id, RunState::Cancelled);
            return Ok(());
        }
        self.live.cancel(id);
        if let Some(current) = self.running().current.as_ref().filter(|current| current.id == id) {
            current.attempt.stop();
        }
        Ok(())
    }

    /// Starts no further job, and returns the one that runs to the queue.
    pub fn stop(&self, most: Duration) {
        let mut running = self.running();
        running.is_stopping = true;
        if let Some(current) = &running.current {
            current.attempt.stop();
        }
        self.changed.notify_all();
        drop(self.changed.wait_timeout_while(running, most, |running| running.current.is_some()));
    }

    /// Rows of a job so far.
    pub fn counts(&self, job: &StoredJob) -> JobCounts {
        let running = self.running();
        running.current.as_ref().filter(|current| current.id == job.id).map_or(job.counts, |current| current.counts)
    }

    /// The files of a job that is done.
    pub fn shards(&self, id: &str) -> Vec<Shard> {
        Manifest::read(&self.folder(id)).map(|manifest| manifest.shards).unwrap_or_default()
    }

    /// The folder of the output of a job.
    pub fn folder(&self, id: &str) -> PathBuf {
        self.config.folder.join(id)
    }

    fn work(&self) {
        loop {
            match self.take() {
                Ok(Some(job)) => {
                    if let Err(error) = self.run(&job) {
                        eprintln!("the end of a job cannot be stored: {error}");
                        std::thread::sleep(LOOK);
                    }
                    self.running().current = None;
                    self.changed.notify_all();
                }
                Ok(None) => return,
                Err(error) => {
                    eprintln!("the queue of the jobs cannot be read: {error}");
                    std::thread::sleep(LOOK);
                }
            }
        }
    }

    /// Waits for the next job, and begins an attempt; `None` at the end of the server.
    fn take(&self) -> rusqlite::Result<Option<StoredJob>> {
        let mut running = self.running();
        loop {
            if running.is_stopping {
                return Ok(None);
            }
            if let Some(next) = self.store.next()?
                && let Some(attempts) = self.store.begin(&next.id)?
            {
                return Ok(Some(StoredJob { state: RunState::Running, attempts, ..next }));
            }
            running = self.changed.wait_timeout(running, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Runs an attempt to its end.
    fn run(&self, job: &StoredJob) -> rusqlite::Result<()> {
        self.live.tell(&job.id, "state", json!({"state": "running"}));
        // A process of an earlier server ends soon, since that server's pipe is closed.
        let folder = self.folder(&job.id);
        while Folder::holder(&folder).is_some() && !self.running().is_stopping && !self.live.is_cancelled(&job.id) {
            std::thread::sleep(BUSY);
        }
        let end = self.attempt(job);
        let counts = self.counts_on_disk(job);
        match end {
            AttemptEnd::Done(result) => {
                let counts = JobCounts { rows: number(&result, "rows"), failed: number(&result, "failed"), ..counts };
                self.end(job, RunState::Done, counts, None, Some(figures(&result)))
            }
            _ if self.live.is_cancelled(&job.id) => self.end(job, RunState::Cancelled, counts, None, None),
            _ if self.running().is_stopping => {
                self.live.tell(&job.id, "state", json!({"state": "queued"}));
                self.store.give_back(&job.id, job.attempts)
            }
            AttemptEnd::Failed { code, message } => {
                let failure = (code, self.redaction.apply(&message));
                self.end(job, RunState::Failed, counts, Some(failure), None)
            }
            AttemptEnd::Lost(reason) => self.lose(job, &reason),
        }
    }

    fn attempt(&self, job: &StoredJob) -> AttemptEnd {
        let launch = match self.launch(job) {
            Ok(launch) => launch,
            Err((code, message)) => return AttemptEnd::Failed { code, message },
        };
        let attempt = match Attempt::start((self.config.command)(&launch)) {
            Ok(attempt) => attempt,
            Err(error) => return AttemptEnd::Lost(format!("its process cannot start: {error}")),
        };
        {
            let mut running = self.running();
            let current = Current { id: job.id.clone(), attempt: attempt.clone(), counts: job.counts };
            running.current = Some(current);
            if running.is_stopping || self.live.is_cancelled(&job.id) {
                attempt.stop();
            }
        }
        attempt.end(|event| self.hear(&job.id, &event))
    }

    /// The files of a job, and what its process gets.
    fn launch(&self, job: &StoredJob) -> Result<JobLaunch, (String, String)> {
        let internal =
            |error: &dyn std::fmt::Display| ("state".to_string(), format!("the job cannot be prepared: {error}"));
        let request: JobRequest = serde_json::from_str(&job.request).map_err(|error| internal(&error))?;
        let folder = self.folder(&job.id);
        fs::create_dir_all(&folder).map_err(|error| internal(&error))?;
        // The same bytes each time: the job was fixed when it was accepted.
        for (name, text) in [(PIPELINE_FILE, &job.pipeline_text), (MODEL_FILE, &job.model_text)] {
            fs::write(folder.join(name), text).map_err(|error| internal(&error))?;
        }
        let input = match (&request.data, &self.data) {
            (Some(name), Some(data)) => Some(data.find(name).map_err(|error| (error.code, error.text))?),
            (Some(_), None) => return Err(("no-data".into(), "this server offers no datasets any more".into())),
            (None, _) => None,
        };
        let JobRequest { rows, filter, keep, .. } = request;
        Ok(JobLaunch { pipeline: folder.join(PIPELINE_FILE), input, output: folder, rows, filter, keep })
    }

    fn hear(&self, id: &str, event: &Event) {
        let mut running = self.running();
        let Some(current) = running.current.as_mut().filter(|current| current.id == id) else { return };
        match event {
            Event::Begin { part, total, done, .. } if part == "rows" => {
                current.counts = JobCounts { rows: *done, total: *total, ..current.counts };
            }
            Event::Begin { part, .. } if part == "load" => return self.live.tell(id, "load", json!({})),
            Event::Progress { part, done, figures } if part == "rows" => {
                let failed = figures.get("failed").and_then(Value::as_u64).unwrap_or(current.counts.failed);
                current.counts = JobCounts { rows: *done, failed, ..current.counts };
            }
            _ => return,
        }
        self.live.tell(id, "progress", json!(current.counts));
    }

    fn end(
        &self,
        job: &StoredJob,
        state: RunState,
        counts: JobCounts,
        failure: Option<(String, String)>,
        result: Option<Value>,
    ) -> rusqlite::Result<()> {
        if self.store.end(job, state, counts, failure, result)? {
            self.over(&job.id, state);
        }
        Ok(())
    }

    fn lose(&self, job: &StoredJob, reason: &str) -> rusqlite::Result<()> {
        let counts = self.counts_on_disk(job);
        match self.store.lose(job, counts, &self.redaction.apply(reason))? {
            Some(RunState::Quarantined) => self.over(&job.id, RunState::Quarantined),
            Some(state) => self.live.tell(&job.id, "state", json!({"state": state.word()})),
            None => {}
        }
        Ok(())
    }

    fn over(&self, id: &str, state: RunState) {
        self.live.tell(id, "state", json!({"state": state.word()}));
        self.live.close(id);
    }

    /// The rows that are committed.
    fn counts_on_disk(&self, job: &StoredJob) -> JobCounts {
        let total = self.counts(job).total.or(job.counts.total);
        let parts = job_progress(&self.folder(&job.id)).unwrap_or_default();
        let failed = parts.iter().flat_map(|part| part.failed.values()).sum();
        JobCounts { rows: parts.iter().map(|part| part.rows).sum(), failed, total }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn number(result: &Value, key: &str) -> u64 {
    result[key].as_u64().unwrap_or(0)
}

/// The figures of a result that name no file.
fn figures(result: &Value) -> Value {
    let keys = ["rows", "failed", "shards", "seconds", "rows_per_second", "network_calls", "row_steps"];
    keys.iter()
        .filter_map(|key| Some((key.to_string(), result.get(key)?.clone())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
