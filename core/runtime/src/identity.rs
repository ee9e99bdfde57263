//! The identity of a run or a training, as named parts. Two jobs that agree in every part write the same bytes, wherever
//! their files are and whatever their names. A folder of another job is refused with the names of the different parts.

use std::fmt;

use anyflow_datasets::{Content, DatasetError, Difference, JobId};
use anyflow_plan::order::{Order, RowSelection};
use anyflow_plan::plan::Job;
use indexmap::IndexMap;
use serde_json::Value;

use crate::{LIBTORCH, Result, RunError};

/// Maximum number of differences in an error.
const MOST_NAMED: usize = 5;
/// Shown digits of a hash, and shown characters of any other value.
const HASH_DIGITS: usize = 12;
const MOST_SHOWN: usize = 60;

/// Hashes of the files that a job has loaded, of exactly the bytes in use.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Library files, by the plugin's name.
    pub plugins: IndexMap<String, String>,
    /// Weights files, by their purpose.
    pub weights: IndexMap<String, String>,
}

/// The rows of a run.
pub struct InputRows {
    /// The content of the dataset; `None` if the run has no inputs.
    pub content: Option<Content>,
    /// Number of rows, each as often as it is drawn.
    pub rows: u64,
    /// Number of shards.
    pub shards: u64,
}

/// The identity of a run: its pipeline, the loaded files, its rows, and the sizes of shards and batches.
///
/// # Errors
/// [`RunError::Internal`].
pub fn of_run(order: &Order, loaded: &Loaded, input: &InputRows) -> Result<JobId> {
    let mut job = described(&order.job)?
        .with("input", input.content.as_ref().map_or("none", |content| &content.files))
        .with("rows", input.rows)
        .with("shard rows", order.shard_rows)
        .with("key", order.key.as_deref().unwrap_or("default"))
        .with("batch rows", order.batch_rows.map_or("measured".into(), |rows| rows.to_string()));
    if let Some(keep) = &order.keep {
        job = job.with("keep", keep.join(","));
    }
    let RowSelection { filter, skip, draws } = &order.selection;
    if let Some(filter) = filter {
        job = job.with("where", filter);
    }
    if *skip > 0 {
        job = job.with("skip", skip);
    }
    if *draws > 1 {
        job = job.with("draws", draws);
    }
    if let Some(linked) = input.content.as_ref().and_then(Content::linked) {
        job = job.with("linked files", linked);
    }
    Ok(with_loaded(with_machine(job, order), loaded))
}

/// The identity of a training: its plan, the loaded files, and the rows of each source.
///
/// # Errors
/// [`RunError::Internal`].
pub fn of_training(order: &Order, loaded: &Loaded, sources: &IndexMap<String, String>) -> Result<JobId> {
    let job = described(&order.job)?;
    let job = sources.iter().fold(job, |job, (name, content)| job.with(format!("source {name}"), content));
    Ok(with_loaded(with_machine(job, order), loaded))
}

fn with_loaded(mut job: JobId, loaded: &Loaded) -> JobId {
    for (name, hash) in &loaded.weights {
        job = job.with(format!("weights {name}"), hash);
    }
    for (name, hash) in &loaded.plugins {
        job = job.with(format!("plugin {name}"), hash);
    }
    job.with("anyflow", env!("CARGO_PKG_VERSION")).with("libtorch", LIBTORCH)
}

/// Adds the machine's part: the number of threads and the kind of device change the order of summation.
fn with_machine(job: JobId, order: &Order) -> JobId {
    let kind = order.device.split(':').next().unwrap_or_default();
    job.with("device", kind).with("threads", order.threads)
}

/// Makes every value of a plan a part, plus one part for the order of keys, because seeds of streams depend on it.
fn described(job: &Job) -> Result<JobId> {
    let plan = serde_json::to_value(job.without_paths()).map_err(|e| RunError::Internal(e.to_string()))?;
    let mut parts = Vec::new();
    leaves("plan".into(), &plan, &mut parts);
    let named = parts.into_iter().fold(JobId::default(), |job, (name, value)| job.with(name, value));
    let mut keys = blake3::Hasher::new();
    order_of(&plan, &mut keys);
    Ok(named.with("order of the plan", keys.finalize().to_hex()))
}

fn leaves(at: String, value: &Value, parts: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(key, value)| leaves(format!("{at}.{key}"), value, parts));
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (index, item) in items.iter().enumerate() {
                // Steps and stages have names, which are clearer than an index.
                let name = ["name", "node"].iter().find_map(|key| item.get(key)?.as_str());
                leaves(
                    format!("{at}.{}", name.map_or(index.to_string(), |name| format!("{index}-{name}"))),
                    item,
                    parts,
                );
            }
        }
        other => parts.push((at, other.to_string())),
    }
}

/// Hashes the keys of all objects in their order, with marks for the start and end of lists and objects.
fn order_of(value: &Value, keys: &mut blake3::Hasher) {
    match value {
        Value::Object(fields) => {
            keys.update(b"{");
            for (key, value) in fields {
                keys.update(&(key.len() as u64).to_le_bytes()).update(key.as_bytes());
                order_of(value, keys);
            }
            keys.update(b"}");
        }
        Value::Array(items) => {
            keys.update(b"[");
            items.iter().for_each(|item| order_of(item, keys));
            keys.update(b"]");
        }
        _ => {
            keys.update(b".");
        }
    }
}

/// Adds to an error about another job what to do for each difference.
pub fn explained(error: DatasetError) -> RunError {
    match error {
        DatasetError::OtherJob { path, differences } => {
            RunError::OtherJob { path: path.display().to_string(), differences: Differences(differences) }
        }
        other => other.into(),
    }
}

/// The different parts of two jobs, each shown with what to do.
#[derive(Debug)]
pub struct Differences(Vec<Difference>);

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Difference { name, expected, found }) in self.0.iter().take(MOST_NAMED).enumerate() {
            let now = shown(expected);
            let then = shown(found);
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{name}: {now} now, {then} then ({})", remedy(name, &then))?;
        }
        match self.0.len().saturating_sub(MOST_NAMED) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

fn remedy(part: &str, then: &str) -> String {
    match part.split_once(' ').map_or(part, |(first, _)| first) {
        "threads" => format!("use --threads {then}"),
        "device" => format!("use --device {then}"),
        "rows" => format!("use --rows {then}"),
        "shard" => format!("use --shard-rows {then}"),
        "batch" if then == "measured" => "remove --batch-rows".into(),
        "batch" => format!("use --batch-rows {then}"),
        option @ ("keep" | "where" | "skip" | "draws") if then == "nothing" => format!("remove --{option}"),
        option @ ("keep" | "where" | "skip" | "draws") => format!("use --{option} {then}"),
        "key" if then == "default" => "remove --key".into(),
        "key" => format!("use --key {then}"),
        "linked" => "restore the original files".into(),
        "input" | "source" => "use the original rows".into(),
        "weights" => "restore the original weights".into(),
        "plugin" => "restore the original library".into(),
        "anyflow" | "libtorch" => format!("use version {then}"),
        _ => "undo the change in the YAML file or in --set".into(),
    }
}

fn shown(value: &Option<String>) -> String {
    let Some(value) = value else { return "nothing".into() };
    let hash = value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    match value.char_indices().nth(if hash { HASH_DIGITS } else { MOST_SHOWN }) {
        Some((end, _)) => format!("{}...", &value[..end]),
        None => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use anyflow_plan::plan::PLAN_FORMAT;
    use serde_json::json;

    use super::*;

    fn order(job: Value) -> Order {
        let order = json!({"format": PLAN_FORMAT, "job": job, "output": "out", "shard_rows": 8, "device": "cuda:1", "threads": 2});
        serde_json::from_value(order).unwrap()
    }

    fn training(seed: u64, library: &str, streams: [&str; 2]) -> Order {
        let codec = json!({"plugin": "p", "id": "c", "library": library, "parameters": {}});
        let array = json!({"modality": "m", "form": "array", "dtype": "f32", "axes": [], "shape": [1], "range": null});
        let cells = json!({"modality": "m", "form": "cells", "cell": "f64", "feature": "Value(float64)"});
        let stream =
            json!({"modality": "m", "codec": codec, "cells": cells, "array": array, "module": null, "latent": [1]});
        let streams: serde_json::Map<_, _> = streams.into_iter().map(|name| (name.into(), stream.clone())).collect();
        order(json!({
            "job": "train", "format": PLAN_FORMAT, "name": "t", "source": library, "scorers": {}, "data": {}, "stages": [],
            "sources": {"digits": [library]}, "seed": seed,
            "model": {"name": "m", "source": library, "checkpoint": library, "streams": streams, "denoisers": {}},
        }))
    }

    fn id(order: &Order) -> JobId {
        of_training(order, &Loaded::default(), &IndexMap::new()).unwrap()
    }

    #[test]
    fn the_order_of_streams_is_part_of_the_identity_and_paths_are_not() {
        let job = id(&training(5, "here/a.so", ["a", "b"]));
        assert_eq!(job, id(&training(5, "there/b.so", ["a", "b"])));
        let differences = job.differences(&id(&training(5, "here/a.so", ["b", "a"])));
        assert_eq!(differences.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), ["order of the plan"]);
        assert!(job.parts().any(|part| part == ("device", "cuda")), "without an index");
    }

    #[test]
    fn an_error_names_the_differences_and_what_to_do() {
        let now = id(&training(6, "a", ["a", "b"])).with("threads", 1).with("plugin p", "a".repeat(64));
        let then = id(&training(5, "a", ["a", "b"])).with("plugin p", "b".repeat(64));
        let text = Differences(now.differences(&then)).to_string();
        for part in
            ["plan.seed: 6 now, 5 then", "--set", "threads: 1 now, 2 then (use --threads 2)", "bbbbbbbbbbbb... then"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        let many: Vec<Difference> = now.differences(&JobId::default());
        assert!(Differences(many).to_string().contains(" more"));
    }
}
