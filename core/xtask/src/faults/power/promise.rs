//! What a command acknowledged: a power cut must not revoke it.

use std::path::Path;

use serde_json::Value;

use super::disk::Tree;
use super::journal::Event;
use crate::faults::job::Job;
use crate::faults::snapshot;

/// Stages of the training; its other parts leave no file.
const STAGES: [&str; 2] = ["statistics", "diffusion"];

/// What the command had acknowledged at the power cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Promise {
    /// Number of rows done.
    pub rows: u64,
    /// Finished parts of a training.
    pub parts: Vec<String>,
    /// The command exited with 0.
    pub finished: bool,
}

impl Promise {
    /// Adds an event of the engine.
    pub fn add(&mut self, event: &Event) {
        match event {
            Event::Rows(rows) => self.rows = self.rows.max(*rows),
            Event::Part(part) => self.parts.push(part.clone()),
            Event::Finished => self.finished = true,
            Event::Other => {}
        }
    }

    /// True if it promises more than another.
    pub fn exceeds(&self, other: &Promise) -> bool {
        self.finished && !other.finished || self.rows > other.rows || self.parts.len() > other.parts.len()
    }

    /// The first acknowledged item that is missing.
    pub fn broken(&self, tree: &Tree, job: Job) -> Option<String> {
        if self.finished {
            return missing_record(tree, job);
        }
        let rows = rows_committed(tree);
        if rows < self.rows {
            return Some(format!("{} rows were reported as done, but {rows} exist", self.rows));
        }
        let stages = tree.keys().filter_map(|name| name.strip_prefix("out/stages").ok()?.to_str());
        let stages: Vec<&str> = stages.filter_map(|name| name.strip_suffix(".safetensors")).collect();
        let is_lost = |part: &&String| {
            STAGES.contains(&part.as_str()) && !stages.iter().any(|stage| stage.ends_with(&format!("-{part}")))
        };
        let lost = self.parts.iter().find(is_lost).filter(|_| job == Job::Train);
        lost.map(|part| format!("stage {part} was reported as done, but is missing"))
    }
}

/// After exit 0, the final file and the records must be complete.
fn missing_record(tree: &Tree, job: Job) -> Option<String> {
    let bytes = |name: &str| tree.get(&Path::new("out").join(name)).and_then(Option::as_ref);
    if bytes(job.proof()).is_none() {
        return Some(format!("exit 0, but there is no {}", job.proof()));
    }
    let torn = |name: &&&str| bytes(name).is_none_or(|bytes| serde_json::from_slice::<Value>(bytes).is_err());
    let records = snapshot::DIFFERING.iter().filter(|name| job.keeps(name));
    records.filter(torn).map(|name| format!("exit 0, but {name} is incomplete")).next()
}

/// Rows of shards that have a commit and the length that it states.
fn rows_committed(tree: &Tree) -> u64 {
    let commits = tree.iter().filter(|(name, _)| name.starts_with("out/commits"));
    let commits = commits.filter_map(|(_, bytes)| serde_json::from_slice::<Value>(bytes.as_ref()?).ok());
    let rows = |commit: Value| {
        let failed = commit["failures"].as_array().map_or(0, Vec::len) as u64;
        let Some(file) = commit["file"].as_str() else { return failed };
        let length = tree.get(&Path::new("out").join(file)).and_then(|bytes| Some(bytes.as_ref()?.len() as u64));
        if length == commit["size_bytes"].as_u64() { failed + commit["rows"].as_u64().unwrap_or_default() } else { 0 }
    };
    commits.map(rows).sum()
}
