//! What the engine tells the front while it works: one [frame](crate::frame) each on a descriptor of their own, which is the
//! engine's standard output as the front made it. What a plugin prints goes to standard error, as log.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the engine tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A part of the job begins: loading, a stage, a task, the rows.
    Begin {
        /// Its name.
        part: String,
        /// How many units it has, if known.
        total: Option<u64>,
        /// What a unit is: `rows`, `steps`.
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
        /// Figures worth showing, e.g. a loss.
        figures: serde_json::Map<String, Value>,
    },
    /// A part is complete.
    End {
        /// Its name.
        part: String,
        /// Its figures, e.g. rows, failures, seconds, metrics.
        figures: serde_json::Map<String, Value>,
    },
    /// Something a person should read.
    Note {
        /// The text.
        text: String,
    },
    /// Which node the run entered last, or which check of a plugin, with the plugin if one runs there. Where the engine
    /// died is in the [table of calls](crate::calls).
    Enter {
        /// Node.
        node: String,
        /// Plugin, if it runs one.
        plugin: Option<String>,
    },
    /// A check of a plugin came to its end.
    Checked(Checked),
    /// The job failed; nothing more comes.
    Failed {
        /// Who must act.
        fault: Fault,
        /// The whole sentence.
        text: String,
    },
    /// The job is done; nothing more comes.
    Done {
        /// Result for `--json`.
        result: Value,
    },
}

/// What a check of a plugin came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Codec or module; empty for the plugin as a whole.
    pub component: String,
    /// Which check.
    pub check: String,
    /// `passed`, `failed` or `skipped`.
    pub outcome: String,
    /// What was found.
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
    /// We are: please report. Exit code 1.
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
