//! What one process reports about its work.

use serde::{Deserialize, Serialize};

/// The reading of a process for a workload, per repetition.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Reading {
    /// A description of the work.
    pub work: String,
    /// Wall time, seconds.
    pub median_s: f64,
    /// CPU time of all threads, seconds.
    pub cpu_median_s: f64,
    /// Number of trainable weights.
    pub params: Option<u64>,
    /// Number of operations in matrix products.
    pub gflop: Option<f64>,
    /// Number of bytes written.
    pub gigabytes: Option<f64>,
    /// Bytes read and written per second of wall time, as the peers' copy counts them.
    pub gb_per_s: Option<f64>,
    /// Peak resident memory.
    pub peak_rss_mb: Option<f64>,
}
