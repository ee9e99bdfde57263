//! Queue and history of the jobs.

use rusqlite::{OptionalExtension, Result, Row, params};
use serde::Serialize;
use serde_json::Value;

use crate::queue_table::{MOST_LOST, QueueEntry, QueueTable, now};
use crate::state::{RunState, state};

/// A job to store.
pub struct NewJob {
    /// Its id.
    pub id: String,
    /// The name of its pipeline.
    pub pipeline: String,
    /// The request as JSON.
    pub request: String,
    /// The text of its pipeline.
    pub pipeline_text: String,
    /// The text of its model.
    pub model_text: String,
    /// Rows to run, if they are known.
    pub total: Option<u64>,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JobCounts {
    /// Rows that are finished.
    pub rows: u64,
    /// Rows that failed.
    pub failed: u64,
    /// Rows in all, if they are known.
    pub total: Option<u64>,
}

/// A job of the queue or the history.
#[derive(Clone, Debug)]
pub struct StoredJob {
    /// Its place in the order of all jobs.
    pub place: i64,
    /// Its id.
    pub id: String,
    /// The name of its pipeline.
    pub pipeline: String,
    /// The request as JSON.
    pub request: String,
    /// The text of its pipeline.
    pub pipeline_text: String,
    /// The text of its model.
    pub model_text: String,
    /// How far it was at the end of its last attempt.
    pub counts: JobCounts,
    /// Its state.
    pub state: RunState,
    /// How often it was started.
    pub attempts: i64,
    /// Seconds since 1970 when it was accepted.
    pub created: f64,
    /// Seconds since 1970 when it ended.
    pub ended: Option<f64>,
    /// Code and message of its failure.
    pub failure: Option<(String, String)>,
    /// The figures of its result.
    pub result: Option<Value>,
}

impl QueueEntry for StoredJob {
    const TABLE: &'static str = "jobs";
    const SCHEMA: &'static str = "
CREATE TABLE IF NOT EXISTS jobs (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    pipeline TEXT NOT NULL,
    request TEXT NOT NULL,
    pipeline_text TEXT NOT NULL,
    model_text TEXT NOT NULL,
    rows INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    total INTEGER,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL,
    ended REAL,
    code TEXT,
    message TEXT,
    result TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, place);
";
    const COLUMNS: &'static str = "place, id, pipeline, request, pipeline_text, model_text, rows, failed, total, state, attempts, \
                       created, ended, code, message, result";

    fn of(row: &Row<'_>) -> Result<Self> {
        let code: Option<String> = row.get(13)?;
        let message: Option<String> = row.get(14)?;
        let result: Option<String> = row.get(15)?;
        Ok(StoredJob {
            place: row.get(0)?,
            id: row.get(1)?,
            pipeline: row.get(2)?,
            request: row.get(3)?,
            pipeline_text: row.get(4)?,
            model_text: row.get(5)?,
            counts: JobCounts { rows: row.get(6)?, failed: row.get(7)?, total: row.get(8)? },
            state: state(row, 9)?,
            attempts: row.get(10)?,
            created: row.get(11)?,
            ended: row.get(12)?,
            failure: code.zip(message),
            result: result.and_then(|text| serde_json::from_str(&text).ok()),
        })
    }
}

/// The queue and the history.
pub type JobStore = QueueTable<StoredJob>;

impl JobStore {
    /// Stores a job at the end of the queue, unless `most` jobs wait. False if it is not stored.
    ///
    /// # Errors
    /// The disk.
    pub fn add(&self, job: &NewJob, most: u64) -> Result<bool> {
        let NewJob { id, pipeline, request, pipeline_text, model_text, total } = job;
        self.insert(
            most,
            "INSERT INTO jobs (id, pipeline, request, pipeline_text, model_text, total, state, created) \
             VALUES (?, ?, ?, ?, ?, ?, 'queued', ?)",
            params![id, pipeline, request, pipeline_text, model_text, total, now()],
        )
    }

    /// Ends an attempt of a job. False if the attempt has ended already.
    ///
    /// # Errors
    /// The disk.
    pub fn end(
        &self,
        job: &StoredJob,
        state: RunState,
        counts: JobCounts,
        failure: Option<(String, String)>,
        result: Option<Value>,
    ) -> Result<bool> {
        let (code, message) = failure.unzip();
        let result = result.map(|result| result.to_string());
        let JobCounts { rows, failed, total } = counts;
        let changed = self.database().execute(
            "UPDATE jobs SET state = ?, ended = ?, rows = ?, failed = ?, total = coalesce(?, total), code = ?, \
             message = ?, result = ? WHERE id = ? AND state = 'running' AND attempts = ?",
            params![state.word(), now(), rows, failed, total, code, message, result, job.id, job.attempts],
        )?;
        Ok(changed == 1)
    }

    /// Records that an attempt ended without an outcome. The job returns to the queue, or is quarantined the second time
    /// in a row that it came no row further. Returns its state.
    ///
    /// # Errors
    /// The disk.
    pub fn lose(&self, job: &StoredJob, counts: JobCounts, reason: &str) -> Result<Option<RunState>> {
        let lose = "UPDATE jobs SET lost = CASE WHEN ?1 > rows + failed THEN 0 ELSE lost + 1 END, \
                    state = CASE WHEN ?1 <= rows + failed AND lost + 1 >= ?2 THEN 'quarantined' ELSE 'queued' END, \
                    ended = CASE WHEN ?1 <= rows + failed AND lost + 1 >= ?2 THEN ?3 END, \
                    code = CASE WHEN ?1 <= rows + failed AND lost + 1 >= ?2 THEN 'quarantined' END, \
                    message = CASE WHEN ?1 <= rows + failed AND lost + 1 >= ?2 THEN ?4 END, \
                    rows = ?5, failed = ?6, total = coalesce(?7, total) \
                    WHERE id = ?8 AND state = 'running' AND attempts = ?9 RETURNING state";
        let message = format!("the job ended {MOST_LOST} times without an outcome, the last time because {reason}");
        let JobCounts { rows, failed, total } = counts;
        let values = params![rows + failed, MOST_LOST, now(), message, rows, failed, total, job.id, job.attempts];
        self.database().query_row(lose, values, |row| state(row, 0)).optional()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(folder: &tempfile::TempDir) -> JobStore {
        let store = JobStore::at(&folder.path().join("jobs.sqlite")).unwrap();
        let text = String::new;
        let job = |id: &str| NewJob {
            id: id.into(),
            pipeline: "p".into(),
            request: "{}".into(),
            pipeline_text: text(),
            model_text: text(),
            total: None,
        };
        assert!(store.add(&job("a"), 1).unwrap() && !store.add(&job("b"), 1).unwrap());
        store
    }

    fn begun(store: &JobStore) -> StoredJob {
        let attempts = store.begin("a").unwrap().unwrap();
        StoredJob { attempts, ..store.get("a").unwrap().unwrap() }
    }

    #[test]
    fn a_job_that_comes_further_each_time_is_never_quarantined() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let counts = |rows| JobCounts { rows, failed: 0, total: Some(9) };
        for rows in 1..=4 {
            let job = begun(&store);
            assert_eq!(store.lose(&job, counts(rows), "of a test").unwrap(), Some(RunState::Queued));
        }
        // Without a further row, the second time in a row is the last.
        let job = begun(&store);
        assert_eq!(store.lose(&job, counts(4), "of a test").unwrap(), Some(RunState::Queued));
        let job = begun(&store);
        assert_eq!(store.lose(&job, counts(4), "of a test").unwrap(), Some(RunState::Quarantined));
        let found = store.get("a").unwrap().unwrap();
        assert!(found.failure.unwrap().1.contains("of a test") && found.counts == counts(4));
        assert!(store.next().unwrap().is_none());
    }

    #[test]
    fn an_old_attempt_has_no_say() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let first = begun(&store);
        store.give_back("a", first.attempts).unwrap();
        let second = begun(&store);
        let end = |job: &StoredJob| store.end(job, RunState::Done, JobCounts::default(), None, None).unwrap();
        assert!(!end(&first) && end(&second) && !end(&second));
        assert!(!store.cancel("a").unwrap() && store.unfinished().unwrap().is_empty());
    }
}
