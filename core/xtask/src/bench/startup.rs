//! Measures a process from start to end: time, and the memory of it and its children.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::reading::Reading;
use crate::process;

/// Number of rows sampled.
pub const ROWS: &str = "16";
/// Steps per row.
pub const STEPS: &str = "10";

/// Polling interval, short enough to catch the peak of a process.
const LOOK_EVERY: Duration = Duration::from_millis(4);
/// Unit of the times in `/proc`: `sysconf(_SC_CLK_TCK)`, which is 100 on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Runs a command and polls it and its children. The memory is the sum of their peaks.
///
/// # Errors
///
/// The command fails, or ends before the first poll.
pub fn watch(mut command: Command) -> Result<Reading> {
    let begin = Instant::now();
    let mut running = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let running = running.as_mut().map_err(|error| anyhow::anyhow!("{error}"));
    let running = running.with_context(|| format!("cannot start `{}`", process::line(&command)))?;
    let mut seen: BTreeMap<u32, Look> = BTreeMap::new();
    let status = loop {
        for id in family(running.id()) {
            if let Some(look) = look(id) {
                seen.insert(id, look);
            }
        }
        match running.try_wait()? {
            Some(status) => break status,
            None => std::thread::sleep(LOOK_EVERY),
        }
    };
    let median_s = begin.elapsed().as_secs_f64();
    ensure!(status.success(), "`{}` failed ({status})", process::line(&command));
    ensure!(!seen.is_empty(), "`{}` could not be polled: /proc is needed", process::line(&command));
    Ok(Reading {
        work: process::line(&command),
        median_s,
        cpu_median_s: seen.values().map(|look| look.cpu_s).sum(),
        peak_rss_mb: Some(seen.values().map(|look| look.peak_mb).sum()),
        ..Reading::default()
    })
}

/// The last polled figures of a process.
struct Look {
    peak_mb: f64,
    cpu_s: f64,
}

fn look(id: u32) -> Option<Look> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let peak_kb: f64 = peak.split_whitespace().next()?.parse().ok()?;
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in brackets may contain blanks. User and system time are the 14th and 15th field: the 12th and 13th
    // after it.
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<f64>().ok();
    Some(Look { peak_mb: peak_kb / 1024.0, cpu_s: (ticks(11)? + ticks(12)?) / TICKS_PER_SECOND })
}

/// A process and its descendants.
fn family(id: u32) -> Vec<u32> {
    let mut all = vec![id];
    let mut place = 0;
    while let Some(parent) = all.get(place) {
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        place += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_and_its_child_are_watched() {
        let mut command = Command::new("sh");
        command.args(["-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; sleep 0.1 & wait"]);
        let reading = watch(command).unwrap();
        assert!(reading.median_s >= 0.1 && reading.cpu_median_s > 0.0, "{reading:?}");
        assert!(reading.peak_rss_mb.unwrap() > 0.5, "{reading:?}");
    }

    #[test]
    fn a_failed_process_is_an_error() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 3"]);
        assert!(watch(command).unwrap_err().to_string().contains("sh -c 'exit 3'"));
    }
}
