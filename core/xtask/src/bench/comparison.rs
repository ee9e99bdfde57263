//! The results of one workload, as a line and as JSON.

use std::fmt;
use std::fs;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::reading::Reading;
use super::side::Agreement;
use super::work::Work;

/// The machine.
#[derive(Debug, Serialize)]
pub struct Machine {
    core: Option<usize>,
    cores: Option<usize>,
    processor: Option<String>,
}

impl Machine {
    /// This machine, with all processes on one core if the system allows it.
    pub fn new(core: Option<usize>) -> Self {
        let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let named = information.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
        Machine {
            core,
            cores: std::thread::available_parallelism().ok().map(Into::into),
            processor: named.map(|name| name.trim().to_string()),
        }
    }
}

/// All readings of a workload.
#[derive(Debug)]
pub struct Comparison {
    work: &'static Work,
    /// Our readings.
    pub ours: Vec<Reading>,
    /// Readings of each peer.
    pub peers: Vec<Vec<Reading>>,
    /// The share of the machine's limit that our side reaches.
    pub share_of_limit: Option<f64>,
    agreement: Option<Agreement>,
    load: Option<f64>,
}

impl Comparison {
    /// The names of the columns.
    pub const HEAD: &str = "work             ours_s    peer_s    ratio  ratio_cpu  share_of_limit";

    /// No readings yet.
    pub fn new(work: &'static Work, agreement: Option<Agreement>) -> Self {
        let peers = work.peers.iter().map(|_| Vec::new()).collect();
        Comparison { work, ours: Vec::new(), peers, share_of_limit: None, agreement, load: load_average() }
    }

    /// The ratio of a peer's figure to ours, for the figure that `of` selects.
    fn ratio(&self, peer: usize, of: fn(&Reading) -> Option<f64>) -> Option<f64> {
        Some(median_of(&self.peers[peer], of)? / median_of(&self.ours, of)?)
    }
}

fn wall(reading: &Reading) -> Option<f64> {
    Some(reading.median_s)
}

fn cpu(reading: &Reading) -> Option<f64> {
    Some(reading.cpu_median_s).filter(|seconds| *seconds > 0.0)
}

fn memory(reading: &Reading) -> Option<f64> {
    reading.peak_rss_mb
}

/// The median of a figure; `None` if a reading lacks it.
pub fn median_of(readings: &[Reading], of: fn(&Reading) -> Option<f64>) -> Option<f64> {
    let mut values: Vec<f64> = readings.iter().map(of).collect::<Option<_>>()?;
    values.sort_by(f64::total_cmp);
    let middle = values.len().checked_sub(1)? / 2;
    Some((values[middle] + values[values.len() / 2]) / 2.0)
}

fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |value: Option<f64>, digits: usize| value.map_or("-".into(), |value| format!("{value:.digits$}"));
        let first = self.peers.first();
        let none = || None;
        let peer_s = first.and_then(|readings| median_of(readings, wall));
        let ratio = |of| first.map_or_else(none, |_| self.ratio(0, of));
        write!(
            f,
            "{:15} {:>8} {:>9} {:>8} {:>10} {:>15}",
            self.work.name,
            number(median_of(&self.ours, wall), 4),
            number(peer_s, 4),
            number(ratio(wall), 2),
            number(ratio(cpu), 2),
            number(self.share_of_limit, 3)
        )?;
        for (place, peer) in self.work.peers.iter().enumerate().skip(1) {
            if let Some(ratio) = self.ratio(place, wall) {
                write!(f, "  {} {ratio:.2} (cpu {})", peer.ratio, number(self.ratio(place, cpu), 2))?;
            }
        }
        if let Some(ratio) = ratio(memory).filter(|_| self.work.is_startup()) {
            write!(f, "  memory {ratio:.2}")?;
        }
        match &self.agreement {
            Some(agreement) => write!(f, "  results differ by {:.0e}", agreement.difference),
            None => Ok(()),
        }
    }
}

impl Serialize for Comparison {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("work", self.work.name)?;
        map.serialize_entry("ours_s", &median_of(&self.ours, wall))?;
        map.serialize_entry("ours_cpu_s", &median_of(&self.ours, cpu))?;
        map.serialize_entry("ours_memory_mb", &median_of(&self.ours, memory))?;
        for (place, peer) in self.work.peers.iter().enumerate() {
            let name = |part: &str| peer.ratio.replacen("ratio", part, 1);
            map.serialize_entry(&name("peer_s"), &median_of(&self.peers[place], wall))?;
            map.serialize_entry(&name("peer_cpu_s"), &median_of(&self.peers[place], cpu))?;
            map.serialize_entry(&name("peer_memory_mb"), &median_of(&self.peers[place], memory))?;
            map.serialize_entry(&name("ratio"), &self.ratio(place, wall))?;
            map.serialize_entry(&name("ratio_cpu"), &self.ratio(place, cpu))?;
            map.serialize_entry(&name("ratio_memory"), &self.ratio(place, memory))?;
            map.serialize_entry(&name("peer_readings"), &self.peers[place])?;
        }
        map.serialize_entry("share_of_limit", &self.share_of_limit)?;
        map.serialize_entry("agreement", &self.agreement)?;
        map.serialize_entry("load_average", &self.load)?;
        map.serialize_entry("readings", &self.ours)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::work::WORKS;

    fn readings(times: &[f64]) -> Vec<Reading> {
        times.iter().map(|time| Reading { median_s: *time, cpu_median_s: time / 2.0, ..Reading::default() }).collect()
    }

    #[test]
    fn the_median_is_the_middle_value() {
        assert_eq!(median_of(&readings(&[3.0, 1.0, 2.0]), wall), Some(2.0));
        assert_eq!(median_of(&readings(&[4.0, 1.0, 2.0, 3.0]), cpu), Some(1.25));
        assert_eq!(median_of(&[], wall), None);
        assert_eq!(median_of(&readings(&[1.0]), memory), None);
    }

    #[test]
    fn a_ratio_is_peer_over_ours() {
        let mut comparison = Comparison::new(&WORKS[1], None);
        comparison.ours = readings(&[0.5, 0.25, 1.0]);
        comparison.peers = vec![readings(&[1.0, 1.0, 3.0]), readings(&[0.5]), readings(&[2.0])];
        let line = comparison.to_string();
        assert!(line.starts_with("train-512-bf16    0.5000    1.0000     2.00       2.00"), "{line}");
        assert!(line.ends_with("ratio_f32 4.00 (cpu 4.00)"), "{line}");
        let json = serde_json::to_value(&comparison).unwrap();
        assert_eq!((&json["ratio"], &json["ratio_f32"], &json["peer_s_f32"]), (&2.0.into(), &4.0.into(), &2.0.into()));
        assert!(json["share_of_limit"].is_null());
    }

    #[test]
    fn without_a_peer_our_side_stands_alone() {
        let mut comparison = Comparison::new(&WORKS[0], None);
        comparison.ours = readings(&[0.5]);
        assert_eq!(comparison.to_string(), "train-512         0.5000         -        -          -               -");
    }
}
