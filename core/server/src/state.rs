//! The states of runs and jobs.

use std::fmt;

use rusqlite::types::Type;
use rusqlite::{Result, Row};

/// The state of a run or a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunState {
    /// It waits.
    Queued,
    /// It is in the engine.
    Running,
    /// It has its rows.
    Done,
    /// It was refused or failed.
    Failed,
    /// A client cancelled it.
    Cancelled,
    /// It ended twice without an outcome. It is never started by itself again.
    Quarantined,
}

impl RunState {
    /// All states.
    pub const ALL: [RunState; 6] = [
        RunState::Queued,
        RunState::Running,
        RunState::Done,
        RunState::Failed,
        RunState::Cancelled,
        RunState::Quarantined,
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            RunState::Queued => "queued",
            RunState::Running => "running",
            RunState::Done => "done",
            RunState::Failed => "failed",
            RunState::Cancelled => "cancelled",
            RunState::Quarantined => "quarantined",
        }
    }

    /// True if it does not change any more.
    pub fn is_end(self) -> bool {
        !matches!(self, RunState::Queued | RunState::Running)
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The state in a column.
///
/// # Errors
/// The column holds no state.
pub fn state(row: &Row<'_>, column: usize) -> Result<RunState> {
    let word: String = row.get(column)?;
    let found = RunState::ALL.into_iter().find(|state| state.word() == word);
    found.ok_or_else(|| rusqlite::Error::InvalidColumnType(column, format!("state {word}"), Type::Text))
}
