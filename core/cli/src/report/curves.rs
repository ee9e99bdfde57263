//! Metrics of a training as series of points.

use std::path::Path;

use indexmap::IndexMap;
use serde_json::Value;

use crate::regular;

/// (step, value) points of one metric.
pub(super) type Series = Vec<(f64, f64)>;

/// The series of one stage, by metric.
pub(super) type Figures = IndexMap<String, Series>;

/// Reads `metrics.jsonl`: stage -> metric -> points, in order of appearance. Skips lines that are not JSON; the last
/// line of a running training may be cut.
pub(super) fn read(path: &Path) -> IndexMap<String, Figures> {
    let mut stages: IndexMap<String, Figures> = IndexMap::new();
    let text = regular::record(path).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let mut count = 0.0;
    for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let Some(object) = line.as_object() else { continue };
        count += 1.0;
        let stage = object.get("stage").and_then(Value::as_str).unwrap_or("training");
        let step = object.get("step").and_then(Value::as_f64).unwrap_or(count);
        let figures = stages.entry(stage.into()).or_default();
        let others = object.iter().filter(|(name, _)| !["stage", "step"].contains(&name.as_str()));
        for (name, value) in others.filter_map(|(name, value)| Some((name, value.as_f64()?))) {
            figures.entry(name.clone()).or_default().push((step, value));
        }
    }
    stages
}
