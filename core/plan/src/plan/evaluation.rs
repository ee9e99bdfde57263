//! Evaluations: models and ways to sample them, and the tasks that they are asked.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{ColumnRef, Component, Generated, Given, Model, Scorer, Scoring, Table};

/// A checked evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalPlan {
    /// See [`PLAN_FORMAT`](super::PLAN_FORMAT).
    pub format: u32,
    /// The evaluation's name.
    pub name: String,
    /// The YAML it came from.
    pub source: String,
    /// The model.
    pub model: Model,
    /// Judges by stream.
    pub judges: IndexMap<String, Scorer>,
    /// Files: source name -> paths. Those of generated sources are relative to the output folder until they are made.
    pub sources: IndexMap<String, Vec<String>>,
    /// Sources that are generated before anything else is done.
    #[serde(default)]
    pub generated: IndexMap<String, Generated>,
    /// The held-out rows; `class` is the truth.
    pub data: Table,
    /// Stream -> column with the rows that its model was trained on, which the Frechet distance of real rows is taken
    /// from; for other streams the held-out rows are halved.
    #[serde(default)]
    pub reference: IndexMap<String, ColumnRef>,
    /// What is compared, by name; at least one. The first is held to what tasks ask for.
    pub variants: IndexMap<String, Variant>,
    /// Rows a task.
    pub rows: u64,
    /// Seeds; figures are given with their spread.
    pub seeds: Vec<u64>,
    /// What is asked, by name.
    pub tasks: IndexMap<String, Task>,
    /// Stream -> the prompt by which what is generated of it is compared with other streams.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub similarity: IndexMap<String, String>,
    /// Whether tasks that generate several streams are asked for each of them by itself as well, from the same noise.
    #[serde(default)]
    pub independent: bool,
    /// Tasks conditioned on two prompts, whose rows are of different classes and whose weights go from (1, 0) to (0, 1).
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub conflicts: IndexMap<String, Task>,
}

/// A model and a way to sample it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// The model, if it is another than the evaluation's, with the same codecs.
    pub model: Option<Model>,
    /// Safetensors files with weights in place of those of the model's checkpoint, the later ones last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<String>,
    /// What reads the cells of streams that are given, where it is not the model's codec: by stream.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub codecs: IndexMap<String, Component>,
    /// The denoiser that is asked.
    pub denoiser: String,
    /// `{kind, ...}`, all defaults filled.
    pub sampler: Json,
    /// How the network sees streams that are given, if other than the tasks say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<Given>,
}

/// One question to the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Streams generated and judged.
    pub generate: Vec<String>,
    /// Streams generated along and not judged.
    pub along: Vec<String>,
    /// Streams given from the data.
    pub observe: Vec<String>,
    /// Streams that begin from rows of others, whose arrays are of the same form, where the sampler begins late.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub start: IndexMap<String, String>,
    /// Prompts made from the data, with their weights.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub condition: IndexMap<String, f64>,
    /// Streams that take no part.
    pub absent: Vec<String>,
    /// `{kind, ...}`, all defaults filled; none for plain predictions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance: Option<Json>,
    /// How the network sees streams that are given.
    #[serde(default, skip_serializing_if = "Given::is_default")]
    pub given: Given,
    /// Least coherence that is asked for, if any: below it, the evaluation fails.
    pub at_least: Option<f64>,
    /// Least share of rows that are nearest to their own, by perceptual distance where the judge gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest_at_least: Option<f64>,
    /// What is told instead of generated; without classes, which row's own value the recovered one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Scoring>,
}
