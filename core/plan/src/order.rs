//! The order: a job, and the choices of one call of the command that are not the pipeline's business. The front starts the
//! engine and writes the order as a [frame](crate::frame) to its standard input. Then it holds that pipe open: its end tells
//! the engine that the front is gone. The engine keeps the order as `order.json` in the output folder. Checking a plugin has
//! an order of its own.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::plan::Job;

/// What the engine is started with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// See [`crate::plan::PLAN_FORMAT`].
    pub format: u32,
    /// The job.
    pub job: Job,
    /// Folder that everything is written to.
    pub output: String,
    /// Dataset files or folders (a run with inputs).
    #[serde(default)]
    pub inputs: Vec<String>,
    /// Number of rows: of a run without inputs; for one with inputs, the most rows to take.
    #[serde(default)]
    pub rows: Option<u64>,
    /// Column whose value is the row key; default `id` where there is one, else the row's number.
    #[serde(default)]
    pub key: Option<String>,
    /// Rows of an output shard.
    pub shard_rows: u64,
    /// Rows per network call at most (a run); measured if not said.
    #[serde(default)]
    pub batch_rows: Option<u32>,
    /// Failed rows after which a run stops; `None` for no limit.
    #[serde(default)]
    pub max_failures: Option<u64>,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Threads inside libtorch.
    pub threads: u32,
    /// Bytes of memory that the job may use; a share of the machine's if not said.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Seconds that one call of a plugin may take; `None` for no limit.
    #[serde(default)]
    pub timeout_seconds: Option<f64>,
    /// Blake3 hashes, hexadecimal, of the only plugin files that may be loaded; `None` for any.
    #[serde(default)]
    pub plugins_allowed: Option<Vec<String>>,
    /// File for a timeline.
    #[serde(default)]
    pub trace: Option<String>,
}

/// What the engine is told when it shall check a plugin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckOrder {
    /// The plugin's library file.
    pub library: String,
    /// Values of parameters: component -> parameter -> value.
    #[serde(default)]
    pub parameters: IndexMap<String, serde_json::Map<String, serde_json::Value>>,
    /// Where cells to try a codec with lie.
    #[serde(default)]
    pub samples: Vec<Sample>,
    /// Seconds after which a check counts as failed.
    pub timeout_secs: u64,
}

/// Cells of a codec.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The codec.
    pub component: String,
    /// A file that is a cell, or a dataset that has a column of them.
    pub file: String,
    /// The column.
    pub column: Option<String>,
}
