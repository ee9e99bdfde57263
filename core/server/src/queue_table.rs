//! A table on disk whose entries wait in order, begin, and end once: runs and jobs. Every change is one transaction, so that a
//! sudden end leaves each entry in one state.

use std::marker::PhantomData;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, Params, Result, Row, TransactionBehavior, params};

/// How often an entry may end without an outcome before it is quarantined.
pub const MOST_LOST: i64 = 2;

/// What a table holds. Its columns `place`, `id`, `state`, `attempts` and `ended` are those of every table.
pub trait QueueEntry: Sized {
    /// The name of its table.
    const TABLE: &'static str;
    /// Creates the table where it is missing.
    const SCHEMA: &'static str;
    /// The columns that it is read from.
    const COLUMNS: &'static str;

    /// The entry in a row of these columns.
    ///
    /// # Errors
    /// A column holds something else.
    fn of(row: &Row<'_>) -> Result<Self>;
}

/// The database with the table of `E`.
pub struct QueueTable<E> {
    database: Mutex<Connection>,
    entries: PhantomData<E>,
}

impl<E: QueueEntry> QueueTable<E> {
    /// Opens or makes the database.
    ///
    /// # Errors
    /// The disk fails, or the file is another database.
    pub fn at(path: &Path) -> Result<Self> {
        let database = Connection::open(path)?;
        database.pragma_update(None, "journal_mode", "WAL")?;
        database.pragma_update(None, "synchronous", "NORMAL")?;
        database.execute_batch(E::SCHEMA)?;
        Ok(QueueTable { database: Mutex::new(database), entries: PhantomData })
    }

    /// Stores an entry at the end of the queue, unless `most` entries wait. False if it is not stored.
    ///
    /// # Errors
    /// The disk.
    pub fn insert(&self, most: u64, insert: &str, values: impl Params) -> Result<bool> {
        let mut database = self.database();
        let change = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let count = format!("SELECT count(*) FROM {} WHERE state = 'queued'", E::TABLE);
        let waiting: u64 = change.query_row(&count, [], |row| row.get(0))?;
        if waiting >= most {
            return Ok(false);
        }
        change.execute(insert, values)?;
        change.commit()?;
        Ok(true)
    }

    /// The entry that waits for the longest time.
    ///
    /// # Errors
    /// The disk.
    pub fn next(&self) -> Result<Option<E>> {
        Ok(self.select("WHERE state = 'queued' ORDER BY place LIMIT 1", [])?.pop())
    }

    /// Marks a waiting entry as running, and returns the number of this attempt; `None` if it does not wait any more.
    ///
    /// # Errors
    /// The disk.
    pub fn begin(&self, id: &str) -> Result<Option<i64>> {
        let begin = format!(
            "UPDATE {} SET state = 'running', attempts = attempts + 1 WHERE id = ? AND state = 'queued' RETURNING attempts",
            E::TABLE
        );
        self.database().query_row(&begin, [id], |row| row.get(0)).optional()
    }

    /// Returns an entry to the queue, since its attempt never reached an engine, or the user ended the server.
    ///
    /// # Errors
    /// The disk.
    pub fn give_back(&self, id: &str, attempt: i64) -> Result<()> {
        let back =
            format!("UPDATE {} SET state = 'queued' WHERE id = ? AND state = 'running' AND attempts = ?", E::TABLE);
        self.database().execute(&back, params![id, attempt]).map(drop)
    }

    /// Cancels an entry that waits. False if it does not.
    ///
    /// # Errors
    /// The disk.
    pub fn cancel(&self, id: &str) -> Result<bool> {
        let cancel =
            format!("UPDATE {} SET state = 'cancelled', ended = ? WHERE id = ? AND state = 'queued'", E::TABLE);
        Ok(self.database().execute(&cancel, params![now(), id])? == 1)
    }

    /// An entry.
    ///
    /// # Errors
    /// The disk.
    pub fn get(&self, id: &str) -> Result<Option<E>> {
        Ok(self.select("WHERE id = ?", [id])?.pop())
    }

    /// The last entries, the latest first.
    ///
    /// # Errors
    /// The disk.
    pub fn latest(&self, most: u64) -> Result<Vec<E>> {
        self.select("ORDER BY place DESC LIMIT ?", [most])
    }

    /// The entries that are not over, in order.
    ///
    /// # Errors
    /// The disk.
    pub fn unfinished(&self) -> Result<Vec<E>> {
        self.select("WHERE state IN ('queued', 'running') ORDER BY place", [])
    }

    /// Number of entries that wait before a place.
    ///
    /// # Errors
    /// The disk.
    pub fn waiting_before(&self, place: i64) -> Result<u64> {
        let count = format!("SELECT count(*) FROM {} WHERE state = 'queued' AND place < ?", E::TABLE);
        self.database().query_row(&count, [place], |row| row.get(0))
    }

    /// The entries that a condition selects.
    ///
    /// # Errors
    /// The disk.
    pub fn select(&self, condition: &str, values: impl Params) -> Result<Vec<E>> {
        let database = self.database();
        let mut query = database.prepare(&format!("SELECT {} FROM {} {condition}", E::COLUMNS, E::TABLE))?;
        query.query_map(values, E::of)?.collect()
    }

    /// The database, for changes that only one table knows.
    pub fn database(&self) -> MutexGuard<'_, Connection> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seconds since 1970.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
