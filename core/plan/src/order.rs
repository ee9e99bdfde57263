//! The order: a job, and the choices of one call of the command that are not the pipeline's business. The front writes
//! it as `order.json` into the output folder, and starts the engine with that path.

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
