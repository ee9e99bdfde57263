//! Provenance: files, weights, seed, sampler, versions, time.

use std::path::Path;

use anyflow_plan::order::Order;
use anyflow_plan::plan::{Checkpoint, Diffusion, Job, Op};
use maud::{Markup, html};
use serde::Serialize;
use serde_json::{Map, Value};

use super::cell::inline;
use super::values;
use crate::compiled::{model_of, name_of};
use crate::regular;

/// Parts of a job that are shown: hashes of what it loaded, by the first word of the part's name.
const SHOWN_PARTS: [&str; 4] = ["input", "source", "weights", "plugin"];

/// The part of a job that identifies the model's checkpoint.
const CHECKPOINT: &str = "weights checkpoint";

/// The engine's record of a run or training.
pub(super) struct Provenance {
    /// `run.json` of a finished run.
    written: Value,
    /// The identity of the job, by parts.
    job: Value,
}

impl Provenance {
    /// Reads `run.json` and the record of the job; both may be missing.
    pub(super) fn read(folder: &Path) -> Self {
        let json = |name: &str| -> Option<Value> { regular::json(&folder.join(name)) };
        let job = json("job.json").or_else(|| json("training.json"));
        Provenance { written: json("run.json").unwrap_or_default(), job: job.unwrap_or_default() }
    }

    /// The figures of a finished run.
    pub(super) fn result(&self) -> &Value {
        &self.written["result"]
    }

    /// The provenance as a table.
    pub(super) fn details(&self, order: Option<&Order>) -> Markup {
        let facts = self.facts(order);
        html! {
            @if !facts.is_empty() {
                details { summary { "Provenance" } div.inside { (values::table(&Value::Object(facts))) } }
            }
        }
    }

    /// Hash of the checkpoint that the job loaded.
    fn checkpoint(&self) -> Option<&str> {
        self.written["checkpoint_blake3"].as_str().or_else(|| self.job["parts"][CHECKPOINT].as_str())
    }

    fn facts(&self, order: Option<&Order>) -> Map<String, Value> {
        let mut facts = Map::new();
        if let Some(order) = order {
            of_order(order, &mut facts);
        }
        match (self.checkpoint(), order.and_then(|order| model_of(&order.job).checkpoint.as_ref())) {
            (Some(hash), _) => put(&mut facts, "checkpoint blake3", hash),
            // An evaluation keeps no record, and a training writes the file.
            (None, Some(Checkpoint::File(path))) if self.job.is_null() => {
                if let Some(hash) = blake3_of(Path::new(path)) {
                    put(&mut facts, "checkpoint blake3 (as it is now)", hash);
                }
            }
            (None, _) => {}
        }
        let parts = self.job["parts"].as_object().into_iter().flatten();
        facts.extend(parts.filter(|(name, _)| is_shown(name)).map(|(name, hash)| (name.clone(), hash.clone())));
        for key in ["device", "versions", "result"] {
            if let Some(value) = self.written.get(key) {
                facts.insert(key.into(), value.clone());
            }
        }
        if let Some(seconds) = self.written["finished_unix"].as_u64() {
            put(&mut facts, "finished", date(seconds));
        }
        facts
    }
}

fn is_shown(part: &str) -> bool {
    part != CHECKPOINT && part.split(' ').next().is_some_and(|word| SHOWN_PARTS.contains(&word))
}

fn of_order(order: &Order, facts: &mut Map<String, Value>) {
    let (name, source) = name_of(&order.job);
    let model = model_of(&order.job);
    put(facts, "name", name);
    put(facts, "file", source);
    put(facts, "model", format!("{} ({})", model.name, model.source));
    if let Some(checkpoint) = &model.checkpoint {
        put(facts, "checkpoint", checkpoint.to_string());
    }
    if !order.inputs.is_empty() {
        facts.insert("inputs".into(), Value::from(order.inputs.clone()));
    }
    match &order.job {
        Job::Run(plan) => {
            for step in &plan.steps {
                if let Op::Diffuse { diffusion, .. } = &step.op {
                    let Diffusion { denoiser, sampler, seed, .. } = diffusion;
                    let text = format!("denoiser {denoiser}, sampler {}, seed {seed}", kind_first(sampler));
                    put(facts, &format!("node {}", step.node), text);
                }
            }
        }
        Job::Train(plan) => put(facts, "seed", plan.seed.to_string()),
        // Each variant has its own sampler and seeds, which the findings show.
        Job::Eval(_) => {}
    }
}

/// `ddim (steps 50, eta 0)`.
pub(super) fn kind_first(kind: &impl Serialize) -> String {
    let value = &serde_json::to_value(kind).unwrap_or_default();
    let Some(object) = value.as_object() else { return inline(value) };
    let rest = object.iter().filter(|(key, value)| *key != "kind" && !value.is_null());
    let rest: Vec<String> =
        rest.map(|(key, value)| format!("{} {}", crate::progress::words(key), inline(value))).collect();
    match object.get("kind").and_then(Value::as_str) {
        Some(kind) if rest.is_empty() => kind.into(),
        Some(kind) => format!("{kind} ({})", rest.join(", ")),
        None => inline(value),
    }
}

fn put(facts: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    facts.insert(name.into(), value.into());
}

fn blake3_of(path: &Path) -> Option<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(regular::open(path).ok()?).ok()?;
    Some(hasher.finalize().to_hex().to_string())
}

/// `2026-11-21 13:48 UTC`.
pub(super) fn date(unix_secs: u64) -> String {
    let days = unix_secs / 86400;
    let of_day = unix_secs % 86400;
    let (year, month, day) = civil_from_days(days);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", of_day / 3600, of_day / 60 % 60)
}

/// Howard Hinnant's `civil_from_days` for days since 1970-01-01. Years begin in March, so that leap days come last.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(date(1_798_761_599), "2026-12-31 23:59 UTC");
    }

    #[test]
    fn a_sampler_reads_like_a_phrase() {
        let sampler = serde_json::json!({"kind": "ddim", "steps": 50, "eta": 0.0, "last": null});
        assert_eq!(kind_first(&sampler), "ddim (steps 50, eta 0)");
    }
}
