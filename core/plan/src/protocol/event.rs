//! Events from the engine to the front: one [frame](crate::frame) each, on the engine's original standard output. Output of
//! plugins goes to standard error, as log.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A part of the job begins: loading, a stage, a task, the rows.
    Begin {
        /// Its name.
        part: String,
        /// Number of units, if known.
        total: Option<u64>,
        /// The unit: `rows`, `steps`.
        unit: String,
        /// Units already done by an earlier run of the same job.
        done: u64,
    },
    /// Work inside a part.
    Progress {
        /// Its name.
        part: String,
        /// Units done.
        done: u64,
        /// Figures to show, for example the loss.
        figures: serde_json::Map<String, Value>,
    },
    /// A part is complete.
    End {
        /// Its name.
        part: String,
        /// Its figures, for example rows, failures, seconds, metrics.
        figures: serde_json::Map<String, Value>,
    },
    /// A message for people.
    Note {
        /// The text.
        text: String,
    },
    /// The run enters a node, or a check of a plugin. The [table of calls](crate::calls) has the call in which the engine
    /// died.
    Enter {
        /// Node.
        node: String,
        /// Plugin, if the node runs one.
        plugin: Option<String>,
    },
    /// Rows of a run that somebody follows have had a network call in a node that diffuses.
    Step {
        /// Node.
        node: String,
        /// Number of the first of these rows.
        first_row: u64,
        /// Number of rows.
        rows: u64,
        /// Network calls so far.
        step: u64,
        /// Network calls in all.
        steps: u64,
    },
    /// The output of the pipeline if the diffusion of a node ended now. The rows follow the frame as an Arrow IPC stream with
    /// those outputs that depend on this node alone.
    Preview {
        /// Node.
        node: String,
        /// The numbers of the rows.
        rows: Vec<u64>,
        /// Network calls so far.
        step: u64,
        /// Network calls in all.
        steps: u64,
        /// Bytes after this frame.
        bytes: u64,
    },
    /// The good rows of a run, in order, follow the frame as an Arrow IPC stream with the pipeline's outputs.
    Rows {
        /// Bytes after this frame.
        bytes: u64,
    },
    /// A shard that the front gave is committed.
    Shard {
        /// Its number.
        shard: u64,
        /// Rows that are good.
        rows: u64,
        /// Rows that failed.
        failed: u64,
    },
    /// The result of a check of a plugin.
    Checked(Checked),
    /// The job failed. This is the last event.
    Failed {
        /// Who must act.
        fault: Fault,
        /// The whole sentence.
        text: String,
    },
    /// The job is done. This is the last event.
    Done {
        /// Result for `--json`.
        result: Value,
    },
}

/// The result of a check of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Codec or module; empty for the whole plugin.
    pub component: String,
    /// Name of the check.
    pub check: String,
    /// `passed`, `failed` or `skipped`.
    pub outcome: String,
    /// Details.
    pub text: String,
}

/// Who must act; the exit code follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The run failed: disk, device, too many bad rows. Exit code 1.
    Run,
    /// The user's files are wrong. Exit code 2.
    User,
    /// A plugin is wrong. Exit code 3.
    Plugin,
    /// Anyflow has a bug. Exit code 1.
    Internal,
}

impl Fault {
    /// Exit code of both programs.
    pub fn exit_code(self) -> u8 {
        match self {
            Fault::Run | Fault::Internal => 1,
            Fault::User => 2,
            Fault::Plugin => 3,
        }
    }
}
