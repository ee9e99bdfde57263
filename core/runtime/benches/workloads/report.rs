//! Timing a work, and the line that says what came out. The names are those of the peers' lines.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// How a work is timed.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Repetitions before the first that counts.
    pub warmup: usize,
    /// Repetitions that count.
    pub iterations: usize,
}

/// What is printed of a work. Figures are per repetition.
#[derive(Debug, Serialize)]
pub struct Line {
    /// What a repetition did.
    pub work: String,
    /// Wall time, seconds.
    pub median_s: f64,
    /// CPU time of all threads, seconds.
    pub cpu_median_s: f64,
    /// Repetitions that were timed.
    pub iters: usize,
    /// Matrix products, 2 for a multiplication and an addition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gflop: Option<f64>,
    /// Bytes that arrive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gigabytes: Option<f64>,
    /// Trainable weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<i64>,
    /// The largest resident size so far.
    pub peak_rss_mb: Option<f64>,
}

impl Clock {
    /// Runs a work again and again.
    ///
    /// # Errors
    /// The work failed, or there was nothing to time.
    pub fn time(self, work: impl Into<String>, mut repetition: impl FnMut() -> Result<()>) -> Result<Line> {
        let (mut wall, mut cpu) = (Vec::new(), Vec::new());
        for round in 0..self.warmup + self.iterations {
            let (begin, begin_cpu) = (Instant::now(), cpu_time());
            repetition()?;
            if round >= self.warmup {
                wall.push(begin.elapsed().as_secs_f64());
                cpu.push((cpu_time() - begin_cpu).as_secs_f64());
            }
        }
        Ok(Line {
            work: work.into(),
            iters: wall.len(),
            median_s: median(wall).context("no repetition was asked for")?,
            cpu_median_s: median(cpu).context("no repetition was asked for")?,
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
