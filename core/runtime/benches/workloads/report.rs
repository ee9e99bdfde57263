//! Times a workload and reports it as a line of JSON, with the same names as the peers' lines.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// The numbers of repetitions.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Untimed repetitions.
    pub warmup: usize,
    /// Timed repetitions.
    pub iterations: usize,
}

/// The report of a workload. Figures are per repetition.
#[derive(Debug, Serialize)]
pub struct Line {
    /// Description of a repetition.
    pub work: String,
    /// Wall time, seconds.
    pub median_s: f64,
    /// CPU time of all threads, seconds.
    pub cpu_median_s: f64,
    /// Timed repetitions.
    pub iters: usize,
    /// Operations of matrix products. A multiplication and an addition count as 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gflop: Option<f64>,
    /// Gigabytes written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gigabytes: Option<f64>,
    /// Trainable weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<i64>,
    /// Peak resident memory.
    pub peak_rss_mb: Option<f64>,
}

impl Clock {
    /// Repeats a workload and times it.
    ///
    /// # Errors
    /// The workload failed; there are no timed repetitions.
    pub fn time(self, work: impl Into<String>, mut repetition: impl FnMut() -> Result<()>) -> Result<Line> {
        let mut wall = Vec::new();
        let mut cpu = Vec::new();
        for round in 0..self.warmup + self.iterations {
            let started = Instant::now();
            let started_cpu = cpu_time();
            repetition()?;
            if round >= self.warmup {
                wall.push(started.elapsed().as_secs_f64());
                cpu.push((cpu_time() - started_cpu).as_secs_f64());
            }
        }
        Ok(Line {
            work: work.into(),
            iters: wall.len(),
            median_s: median(wall).context("`--iterations` must be at least 1")?,
            cpu_median_s: median(cpu).context("`--iterations` must be at least 1")?,
            gflop: None,
            gigabytes: None,
            params: None,
            peak_rss_mb: peak_rss_mb(),
        })
    }
}

fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len().checked_sub(1)? / 2;
    Some((values[middle] + values[values.len() / 2]) / 2.0)
}

fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}
