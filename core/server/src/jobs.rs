//! Batch jobs over datasets: each is `anyflow run` in a process of its own, so that it resumes and ends as any other. They
//! run one after the other, since each may use the whole machine.

mod attempt;
mod data;
mod request;
mod store;
mod work;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyflow_datasets::{Manifest, Shard};

use crate::error::ServerError;
use crate::live::Live;
use crate::redact::Redaction;
use crate::state::RunState;
use attempt::Attempt;
pub use data::DataFolder;
pub use request::{CheckedJob, JobRequest};
pub use store::{JobCounts, JobStore, NewJob, StoredJob};

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
    pub fn open(config: JobsConfig, database: &Path) -> Result<Jobs, ServerError> {
        fs::create_dir_all(&config.folder).map_err(ServerError::State)?;
        let data = config.data.as_deref().map(DataFolder::open).transpose()?;
        let store = JobStore::at(database)?;
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

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
