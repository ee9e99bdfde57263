//! Queue and history of the runs.

use std::path::Path;

use indexmap::IndexMap;
use rusqlite::{OptionalExtension, Result, Row, params};
use serde_json::Value;

use crate::queue_table::{MOST_LOST, QueueEntry, QueueTable, now};
use crate::state::{RunState, state};

/// A run to store.
pub struct NewRun {
    /// Its id.
    pub id: String,
    /// The name of its pipeline.
    pub pipeline: String,
    /// The request as JSON.
    pub request: String,
    /// Number of rows.
    pub rows: u64,
    /// The rows as an Arrow IPC stream.
    pub input: Option<Vec<u8>>,
}

/// A run of the queue or the history.
#[derive(Clone, Debug)]
pub struct StoredRun {
    /// Its place in the order of all runs.
    pub place: i64,
    /// Its id.
    pub id: String,
    /// The name of its pipeline.
    pub pipeline: String,
    /// The request as JSON.
    pub request: String,
    /// Number of rows.
    pub rows: u64,
    /// Its state.
    pub state: RunState,
    /// How often it was started.
    pub attempts: i64,
    /// How often it ended without an outcome.
    pub lost: i64,
    /// Seconds since 1970 when it was accepted.
    pub created: f64,
    /// Seconds since 1970 when it ended.
    pub ended: Option<f64>,
    /// Code and message of its failure.
    pub code: Option<String>,
    /// See `code`.
    pub message: Option<String>,
    /// The engine's result.
    pub result: Option<Value>,
}

/// How a run ends.
pub struct RunEnd {
    /// Its state.
    pub state: RunState,
    /// Code and message of a failure.
    pub failure: Option<(String, String)>,
    /// The engine's result and the rows as an Arrow IPC stream.
    pub output: Option<(Value, Vec<u8>)>,
}

impl QueueEntry for StoredRun {
    const TABLE: &'static str = "runs";
    const SCHEMA: &'static str = "
CREATE TABLE IF NOT EXISTS runs (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    pipeline TEXT NOT NULL,
    request TEXT NOT NULL,
    rows INTEGER NOT NULL,
    input BLOB,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL,
    ended REAL,
    code TEXT,
    message TEXT,
    result TEXT,
    output BLOB
) STRICT;
CREATE INDEX IF NOT EXISTS runs_by_state ON runs (state, place);
";
    const COLUMNS: &'static str =
        "place, id, pipeline, request, rows, state, attempts, lost, created, ended, code, message, result";

    fn of(row: &Row<'_>) -> Result<Self> {
        let result: Option<String> = row.get(12)?;
        Ok(StoredRun {
            place: row.get(0)?,
            id: row.get(1)?,
            pipeline: row.get(2)?,
            request: row.get(3)?,
            rows: row.get(4)?,
            state: state(row, 5)?,
            attempts: row.get(6)?,
            lost: row.get(7)?,
            created: row.get(8)?,
            ended: row.get(9)?,
            code: row.get(10)?,
            message: row.get(11)?,
            result: result.and_then(|text| serde_json::from_str(&text).ok()),
        })
    }
}

/// The queue and the history.
pub type Store = QueueTable<StoredRun>;

impl Store {
    /// Opens or makes the database. Runs that were in the engine when the last server ended return to the queue, or are
    /// quarantined.
    ///
    /// # Errors
    /// The disk fails, or the file is another database.
    pub fn open(path: &Path) -> Result<Store> {
        let store = Store::at(path)?;
        for run in store.select("WHERE state = 'running'", [])? {
            store.lose(&run.id, run.attempts, "the server ended during the run")?;
        }
        Ok(store)
    }

    /// Stores a run at the end of the queue, unless `most` runs wait. False if it is not stored.
    ///
    /// # Errors
    /// The disk.
    pub fn add(&self, run: &NewRun, most: u64) -> Result<bool> {
        let NewRun { id, pipeline, request, rows, input } = run;
        self.insert(
            most,
            "INSERT INTO runs (id, pipeline, request, rows, input, state, created) VALUES (?, ?, ?, ?, ?, 'queued', ?)",
            params![id, pipeline, request, rows, input, now()],
        )
    }

    /// Ends an attempt of a run. False if the attempt has ended already.
    ///
    /// # Errors
    /// The disk.
    pub fn end(&self, id: &str, attempt: i64, end: &RunEnd) -> Result<bool> {
        let (code, message) = end.failure.clone().unzip();
        let result = end.output.as_ref().map(|(result, _)| result.to_string());
        let output = end.output.as_ref().map(|(_, rows)| rows);
        let changed = self.database().execute(
            "UPDATE runs SET state = ?, ended = ?, code = ?, message = ?, result = ?, output = ? \
             WHERE id = ? AND state = 'running' AND attempts = ?",
            params![end.state.word(), now(), code, message, result, output, id, attempt],
        )?;
        Ok(changed == 1)
    }

    /// Records that an attempt ended without an outcome. The run returns to the queue, or is quarantined the second time.
    /// Returns its state.
    ///
    /// # Errors
    /// The disk.
    pub fn lose(&self, id: &str, attempt: i64, reason: &str) -> Result<Option<RunState>> {
        let lose = "UPDATE runs SET lost = lost + 1, \
                    state = CASE WHEN lost + 1 >= ?1 THEN 'quarantined' ELSE 'queued' END, \
                    ended = CASE WHEN lost + 1 >= ?1 THEN ?2 END, \
                    code = CASE WHEN lost + 1 >= ?1 THEN 'quarantined' END, \
                    message = CASE WHEN lost + 1 >= ?1 THEN ?3 END \
                    WHERE id = ?4 AND state = 'running' AND attempts = ?5 RETURNING state";
        let message = format!("the run ended {MOST_LOST} times without an outcome, the last time because {reason}");
        let database = self.database();
        database.query_row(lose, params![MOST_LOST, now(), message, id, attempt], |row| state(row, 0)).optional()
    }

    /// The rows that a run reads, as an Arrow IPC stream.
    ///
    /// # Errors
    /// The disk.
    pub fn input(&self, id: &str) -> Result<Option<Vec<u8>>> {
        self.blob("SELECT input FROM runs WHERE id = ?", id)
    }

    /// The rows of a run that is done, as an Arrow IPC stream.
    ///
    /// # Errors
    /// The disk.
    pub fn output(&self, id: &str) -> Result<Option<Vec<u8>>> {
        self.blob("SELECT output FROM runs WHERE id = ?", id)
    }

    /// Number of runs by state.
    ///
    /// # Errors
    /// The disk.
    pub fn counts(&self) -> Result<IndexMap<RunState, u64>> {
        let mut counts: IndexMap<RunState, u64> = RunState::ALL.map(|state| (state, 0)).into_iter().collect();
        let database = self.database();
        let mut query = database.prepare("SELECT state, count(*) FROM runs GROUP BY state")?;
        let found = query.query_map([], |row| Ok((state(row, 0)?, row.get(1)?)))?;
        for counted in found {
            let (state, count) = counted?;
            counts.insert(state, count);
        }
        Ok(counts)
    }

    /// Drops the oldest ended runs beyond `most`.
    ///
    /// # Errors
    /// The disk.
    pub fn forget(&self, most: u64) -> Result<()> {
        let forget = "DELETE FROM runs WHERE state NOT IN ('queued', 'running') AND place <= \
                      (SELECT place FROM runs WHERE state NOT IN ('queued', 'running') \
                       ORDER BY place DESC LIMIT 1 OFFSET ?)";
        self.database().execute(forget, [most]).map(drop)
    }

    fn blob(&self, query: &str, id: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.database().query_row(query, [id], |row| row.get(0)).optional()?.flatten())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(id: &str) -> NewRun {
        NewRun { id: id.into(), pipeline: "p".into(), request: "{}".into(), rows: 2, input: Some(vec![1, 2]) }
    }

    fn done() -> RunEnd {
        RunEnd { state: RunState::Done, failure: None, output: Some((json!({"rows": 2}), vec![3])) }
    }

    fn open(folder: &tempfile::TempDir) -> Store {
        Store::open(&folder.path().join("runs.sqlite")).unwrap()
    }

    #[test]
    fn runs_leave_the_queue_in_order_and_end_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder);
        assert!(["a", "b"].map(|id| store.add(&run(id), 2).unwrap()).iter().all(|added| *added));
        assert!(!store.add(&run("c"), 2).unwrap(), "the queue is full");
        assert_eq!(store.next().unwrap().unwrap().id, "a");
        assert_eq!(store.begin("a").unwrap(), Some(1));
        assert_eq!(store.begin("a").unwrap(), None);
        assert!(store.add(&run("c"), 2).unwrap());
        let place = store.get("c").unwrap().unwrap().place;
        assert_eq!(store.waiting_before(place).unwrap(), 1);
        assert!(store.end("a", 1, &done()).unwrap() && !store.end("a", 1, &done()).unwrap());
        let found = store.get("a").unwrap().unwrap();
        assert_eq!((found.state, found.result), (RunState::Done, Some(json!({"rows": 2}))));
        assert_eq!((store.input("a").unwrap(), store.output("a").unwrap()), (Some(vec![1, 2]), Some(vec![3])));
        assert!(store.cancel("b").unwrap() && !store.cancel("b").unwrap() && !store.cancel("a").unwrap());
        assert_eq!(store.counts().unwrap()[&RunState::Cancelled], 1);
        assert_eq!(store.latest(2).unwrap().iter().map(|run| run.id.as_str()).collect::<Vec<_>>(), ["c", "b"]);
        store.forget(1).unwrap();
        assert!(store.get("a").unwrap().is_none() && store.get("b").unwrap().is_some());
    }

    #[test]
    fn a_run_without_an_outcome_returns_once_and_is_then_quarantined() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder);
        store.add(&run("a"), 9).unwrap();
        store.begin("a").unwrap();
        // The server ends here.
        drop(store);
        let store = open(&folder);
        let again = store.next().unwrap().unwrap();
        assert_eq!((again.state, again.lost, again.attempts), (RunState::Queued, 1, 1));
        assert_eq!(store.begin("a").unwrap(), Some(2));
        assert!(!store.end("a", 1, &done()).unwrap(), "an old attempt has no say");
        store.give_back("a", 2).unwrap();
        assert_eq!(store.get("a").unwrap().unwrap().lost, 1);
        assert_eq!(store.begin("a").unwrap(), Some(3));
        assert_eq!(store.lose("a", 3, "of a test").unwrap(), Some(RunState::Quarantined));
        let found = store.get("a").unwrap().unwrap();
        assert!(found.message.unwrap().contains("of a test") && found.ended.is_some());
        drop(store);
        assert!(open(&folder).next().unwrap().is_none());
    }
}
