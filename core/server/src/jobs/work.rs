//! Runs jobs: each attempt is a process.

use std::fs;
use std::sync::PoisonError;
use std::time::Duration;

use anyflow_datasets::{Folder, job_progress};
use anyflow_plan::event::Event;
use serde_json::{Value, json};

use super::attempt::{Attempt, AttemptEnd};
use super::{Current, JobCounts, JobLaunch, JobRequest, Jobs, StoredJob};
use crate::log;
use crate::state::RunState;

/// Interval at which the queue is read when no change is signalled.
const LOOK: Duration = Duration::from_secs(1);
/// Time to wait for a process of an earlier server that still holds the output.
const BUSY: Duration = Duration::from_millis(500);
/// The files of a job in its folder: those that repeat it alone.
const PIPELINE_FILE: &str = "pipeline.yaml";
const MODEL_FILE: &str = "model.yaml";

impl Jobs {
    /// Takes jobs from the queue until the server ends.
    pub(super) fn work(&self) {
        loop {
            match self.take() {
                Ok(Some(job)) => {
                    if let Err(error) = self.run(&job) {
                        log::report(&format!("the end of a job cannot be stored: {error}"));
                        std::thread::sleep(LOOK);
                    }
                    self.running().current = None;
                    self.changed.notify_all();
                }
                Ok(None) => return,
                Err(error) => {
                    log::report(&format!("the queue of the jobs cannot be read: {error}"));
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

    /// Records that an attempt ended without an outcome.
    ///
    /// # Errors
    /// The disk.
    pub(super) fn lose(&self, job: &StoredJob, reason: &str) -> rusqlite::Result<()> {
        let counts = self.counts_on_disk(job);
        match self.store.lose(job, counts, &self.redaction.apply(reason))? {
            Some(RunState::Quarantined) => self.over(&job.id, RunState::Quarantined),
            Some(state) => self.live.tell(&job.id, "state", json!({"state": state.word()})),
            None => {}
        }
        Ok(())
    }

    /// Tells of the end of a job, which is stored.
    pub(super) fn over(&self, id: &str, state: RunState) {
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
