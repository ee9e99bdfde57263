//! The limits of the machine, measured in the same run.

use anyhow::Result;
use serde::Serialize;

use super::comparison::median_of;
use super::reading::Reading;
use super::side::{Ours, Peers};
use super::work::{Limit, Peer, Work};

impl Limit {
    const ALL: [Limit; 3] = [Limit::MatmulF32, Limit::MatmulBf16, Limit::Copy];

    fn workload(self) -> &'static str {
        match self {
            Limit::MatmulF32 => "limit-f32",
            Limit::MatmulBf16 => "limit-bf16",
            Limit::Copy => "limit-copy",
        }
    }

    fn peer(self) -> Peer {
        let arguments: &[&str] = match self {
            Limit::MatmulF32 => &["--dtype", "fp32", "--iters", "5"],
            Limit::MatmulBf16 => &["--dtype", "bf16", "--iters", "5"],
            Limit::Copy => &["--op", "copy", "--iters", "5"],
        };
        Peer { ratio: "limit", script: "peer_gemm.py", arguments }
    }
}

/// Rates per second of CPU time, in 1e9 operations or 1e9 bytes written.
#[derive(Debug, Default, Serialize)]
pub struct Limits {
    matmul_f32: Option<f64>,
    matmul_bf16: Option<f64>,
    copy: Option<f64>,
}

impl Limits {
    /// Measures the limits that the workloads need on both sides, and keeps the better one.
    ///
    /// # Errors
    ///
    /// A side fails.
    pub fn measure(works: &[&Work], ours: &Ours, peers: Option<&Peers>) -> Result<Self> {
        let mut limits = Limits::default();
        for limit in Limit::ALL.into_iter().filter(|limit| works.iter().any(|work| work.limit == Some(*limit))) {
            eprintln!("{}", limit.workload());
            let our_reading = ours.workload(limit.workload(), &[])?;
            let peer_reading = peers.map(|peers| peers.script(&limit.peer(), &[])).transpose()?;
            let rates = [Some(our_reading), peer_reading].into_iter().flatten().filter_map(|reading| rate(&reading));
            *limits.of(limit) = rates.reduce(f64::max);
        }
        Ok(limits)
    }

    /// The share of the limit that readings of a workload reach.
    pub fn share(&self, work: &Work, readings: &[Reading]) -> Option<f64> {
        let limit = match work.limit? {
            Limit::MatmulF32 => self.matmul_f32,
            Limit::MatmulBf16 => self.matmul_bf16,
            Limit::Copy => self.copy,
        };
        Some(median_of(readings, rate)? / limit?)
    }

    fn of(&mut self, limit: Limit) -> &mut Option<f64> {
        match limit {
            Limit::MatmulF32 => &mut self.matmul_f32,
            Limit::MatmulBf16 => &mut self.matmul_bf16,
            Limit::Copy => &mut self.copy,
        }
    }
}

fn rate(reading: &Reading) -> Option<f64> {
    // The peers' copy counts bytes read and written per second of wall time in `gb_per_s`.
    let arrived = reading.gigabytes.map(|gigabytes| gigabytes / reading.cpu_median_s);
    let operations = reading.gflop.map(|gflop| gflop / reading.cpu_median_s);
    operations.or(arrived).or(reading.gb_per_s.map(|both_ways| both_ways / 2.0))
}
