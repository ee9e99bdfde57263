//! Counters of the server, in the text format of Prometheus.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use indexmap::IndexMap;
use serde_json::Value;

use crate::state::RunState;

/// Upper bounds of the seconds of a run.
const BUCKETS: [f64; 9] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0];

/// A number that only grows.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to the number.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All counters since the start of the server.
#[derive(Default)]
pub struct Metrics {
    /// Runs that were accepted.
    pub accepted: Counter,
    /// Requests that were refused because the queue was full.
    pub refused: Counter,
    /// Rows of runs that are done.
    pub rows: Counter,
    /// Previews that were sent to followers.
    pub previews: Counter,
    /// Engines that ended.
    pub engine_ends: Counter,
    /// Runs by their end.
    done: Counter,
    failed: Counter,
    cancelled: Counter,
    quarantined: Counter,
    /// Durations of done runs from acceptance to end, by bucket.
    durations: [Counter; BUCKETS.len()],
    milliseconds: Counter,
}

impl Metrics {
    /// Counts the end of a run.
    pub fn ended(&self, state: RunState) {
        match state {
            RunState::Done => self.done.add(1),
            RunState::Failed => self.failed.add(1),
            RunState::Cancelled => self.cancelled.add(1),
            RunState::Quarantined => self.quarantined.add(1),
            RunState::Queued | RunState::Running => {}
        }
    }

    /// Counts the seconds of a run that is done.
    pub fn took(&self, seconds: f64) {
        self.milliseconds.add((seconds * 1000.0) as u64);
        if let Some(bucket) = BUCKETS.iter().position(|bound| seconds <= *bound) {
            self.durations[bucket].add(1);
        }
    }

    /// Mean seconds of a run so far; 1 before the first.
    pub fn mean_seconds(&self) -> f64 {
        let done = self.done.get();
        if done == 0 { 1.0 } else { self.milliseconds.get() as f64 / 1000.0 / done as f64 }
    }

    /// All counters as text. `states` has the number of stored runs by state, `engine` what the engine tells of itself.
    pub fn text(&self, states: &IndexMap<RunState, u64>, engine: Option<&Value>) -> String {
        let mut out = String::new();
        let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, String)]| {
            let _ = writeln!(out, "# HELP anyflow_{name} {help}\n# TYPE anyflow_{name} {kind}");
            for (labels, value) in samples {
                let _ = writeln!(out, "anyflow_{name}{labels} {value}");
            }
        };
        let one = |value: u64| [(String::new(), value.to_string())];
        family("runs_accepted_total", "counter", "Runs that were accepted.", &one(self.accepted.get()));
        family("runs_refused_total", "counter", "Runs refused because the queue was full.", &one(self.refused.get()));
        let ends = [
            ("done", &self.done),
            ("failed", &self.failed),
            ("cancelled", &self.cancelled),
            ("quarantined", &self.quarantined),
        ];
        let ends = ends.map(|(state, count)| (format!("{{state=\"{state}\"}}"), count.get().to_string()));
        family("runs_ended_total", "counter", "Runs by their end.", &ends);
        let stored: Vec<_> =
            states.iter().map(|(state, n)| (format!("{{state=\"{state}\"}}"), n.to_string())).collect();
        family("runs", "gauge", "Runs in queue and history.", &stored);
        family("rows_total", "counter", "Rows of runs that are done.", &one(self.rows.get()));
        family("previews_total", "counter", "Previews that the engine sent.", &one(self.previews.get()));
        family("engine_ends_total", "counter", "Engines that ended.", &one(self.engine_ends.get()));
        family("engine_up", "gauge", "1 if the engine answers.", &one(engine.is_some().into()));
        let mut sum = 0;
        let mut buckets = Vec::new();
        for (bound, count) in BUCKETS.iter().zip(&self.durations) {
            sum += count.get();
            buckets.push((format!("_bucket{{le=\"{bound}\"}}"), sum.to_string()));
        }
        let done = self.done.get();
        buckets.push(("_bucket{le=\"+Inf\"}".into(), done.to_string()));
        buckets.push(("_sum".into(), (self.milliseconds.get() as f64 / 1000.0).to_string()));
        buckets.push(("_count".into(), done.to_string()));
        family("run_seconds", "histogram", "Seconds from acceptance to end of done runs.", &buckets);
        let models = engine.and_then(|engine| engine["models"].as_array());
        for (key, name, kind, help) in [
            ("bytes", "model_bytes", "gauge", "Bytes of a loaded model."),
            ("network_calls", "network_calls_total", "counter", "Network calls of a loaded model."),
            ("row_steps", "row_steps_total", "counter", "Rows of all network calls, guidance branches included."),
        ] {
            let of_model = |(index, model): (usize, &Value)| {
                let labels = format!("{{model=\"{}\",index=\"{index}\"}}", label(model["name"].as_str().unwrap_or("")));
                (labels, model[key].to_string())
            };
            let samples: Vec<_> = models.into_iter().flatten().enumerate().map(of_model).collect();
            family(name, kind, help, &samples);
        }
        out
    }
}

/// The text of a label.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_cumulative() {
        let metrics = Metrics::default();
        for seconds in [0.05, 0.3, 0.4, 1000.0] {
            metrics.ended(RunState::Done);
            metrics.took(seconds);
        }
        let text = metrics.text(&IndexMap::from([(RunState::Queued, 2)]), None);
        for line in [
            "anyflow_run_seconds_bucket{le=\"0.1\"} 1",
            "anyflow_run_seconds_bucket{le=\"0.5\"} 3",
            "anyflow_run_seconds_bucket{le=\"600\"} 3",
            "anyflow_run_seconds_bucket{le=\"+Inf\"} 4",
            "anyflow_run_seconds_count 4",
            "anyflow_runs{state=\"queued\"} 2",
            "anyflow_engine_up 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in:\n{text}");
        }
    }
}
