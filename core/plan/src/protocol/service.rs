//! Calls of clients to a long-lived engine. Each connection to its socket carries one call as a [frame](crate::frame), and
//! [events](crate::event::Event) back, the last of which is `done` or `failed`. A client that closes its connection, or the
//! half that it writes, cancels its call.

use serde::{Deserialize, Serialize};

use crate::plan::RunPlan;

/// Maximum bytes of rows in one direction.
pub const LONGEST_ROWS: usize = 1 << 30;

/// An order to serve: the front writes it, as any other order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServeOrder {
    /// See [`crate::plan::PLAN_FORMAT`].
    pub format: u32,
    /// Path of the socket, in a folder that only this user can enter.
    pub socket: String,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Threads inside libtorch.
    pub threads: u32,
    /// Bytes of all loaded models together; by default a share of the machine's memory.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Maximum rows per network call.
    #[serde(default)]
    pub batch_rows: Option<u32>,
    /// Maximum seconds of one call into a plugin; `None` for no limit.
    #[serde(default)]
    pub timeout_seconds: Option<f64>,
    /// Blake3 hashes, in hexadecimal, of the allowed plugin files; `None` allows all.
    #[serde(default)]
    pub plugins_allowed: Option<Vec<String>>,
}

/// A call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub enum ServiceCall {
    /// Loads the model of a pipeline, unless it is loaded.
    Load {
        /// The pipeline.
        plan: RunPlan,
    },
    /// Drops the model of a pipeline when no run needs it any more.
    Unload {
        /// The pipeline.
        plan: RunPlan,
    },
    /// Runs rows through a pipeline, whose model is loaded first if necessary.
    Run(RowsCall),
    /// Lists the loaded models and the engine's counters.
    Status,
}

/// Rows to run through a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowsCall {
    /// The pipeline.
    pub plan: RunPlan,
    /// Number of rows.
    pub rows: u64,
    /// Bytes after this frame: the rows as an Arrow IPC stream with the columns that the pipeline reads; 0 for a pipeline
    /// without inputs. Cells hold the bytes of their files.
    pub bytes: u64,
    /// Steps of a sampler from one preview to the next; 0 for no previews.
    pub preview_steps: u32,
    /// Number of the first row: that of a client's whole data, of which these rows may be a part.
    #[serde(default)]
    pub first_row: u64,
    /// Column with the keys of the rows. By default `id` if there is one; rows without a key have their number as key.
    #[serde(default)]
    pub key: Option<String>,
}
