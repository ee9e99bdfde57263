//! Evaluations: variants of models and samplers, and their tasks.

use anyflow_config::{EvaluationOptions, Given, Guidance, Sampling, TaskOptions};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{ColumnRef, Component, Diffusion, Generated, Model, RoleValue, Roles, ScorerConfig, Scoring, Table};

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
    pub judges: IndexMap<String, ScorerConfig>,
    /// Files: source name -> paths. Paths of generated sources are relative to the output folder.
    pub sources: IndexMap<String, Vec<String>>,
    /// Sources to generate first.
    #[serde(default)]
    pub generated: IndexMap<String, Generated>,
    /// The held-out rows; `class` is the true class.
    pub data: Table,
    /// Stream -> column with training rows, to which the Frechet distance of held-out rows is the floor. For other streams
    /// it is the distance between two halves of the held-out rows.
    #[serde(default)]
    pub reference: IndexMap<String, ColumnRef>,
    /// Variants by name; at least one. Thresholds of tasks apply to the first.
    pub variants: IndexMap<String, Variant>,
    /// How all tasks are evaluated.
    #[serde(flatten)]
    pub options: EvaluationOptions,
    /// Tasks by name.
    pub tasks: IndexMap<String, Task>,
    /// Tasks conditioned on two prompts from rows of different classes, with weights from (1, 0) to (0, 1).
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub conflicts: IndexMap<String, Task>,
}

/// A model and a sampler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// The model, if it differs from that of the evaluation; it has the same codecs.
    pub model: Option<Model>,
    /// Safetensors files with weights that replace those of the checkpoint; later files win.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<String>,
    /// Codecs that read observed streams instead of the model's codecs, by stream.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub codecs: IndexMap<String, Component>,
    /// The denoiser.
    pub denoiser: String,
    /// The sampler.
    pub sampler: Sampling,
    /// Noise level of observed streams; by default that of the tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<Given>,
    /// Task -> guidance instead of that of the task.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub guidance: IndexMap<String, Guidance>,
}

/// One task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The role of each stream. The outputs are judged.
    pub streams: Roles,
    /// Planes of the denoiser.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub planes: IndexMap<String, TaskPlane>,
    /// `None` without guidance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance: Option<Guidance>,
    /// Its thresholds.
    #[serde(flatten)]
    pub options: TaskOptions,
    /// Classification by the only output instead of generation; without classes, retrieval among the values of all rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Scoring>,
}

/// A plane of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskPlane {
    /// The stream of the data that it is made of.
    pub from: String,
    /// The part that its module does not see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hide: Option<HiddenPart>,
}

/// A hidden part of an array.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HiddenPart {
    /// The stream of the data whose array is the mask; elements above 0.5 are hidden.
    pub mask: String,
    /// What takes the place of hidden elements.
    pub fill: f64,
}

impl TaskPlane {
    /// The name of the array that it is made of: that of a stream, or of one with a hidden part.
    pub fn array(&self, stream: &str) -> String {
        if self.hide.is_some() { format!("{stream}.visible") } else { self.from.clone() }
    }
}

impl Task {
    /// The streams and prompts of the data that it reads.
    pub fn reads(&self) -> impl Iterator<Item = RoleValue<'_>> {
        let planes = self.planes.iter().flat_map(|(stream, plane)| {
            let mask = plane.hide.as_ref().map(|hide| hide.mask.as_str());
            std::iter::once(plane.from.as_str()).chain(mask).map(move |from| RoleValue { key: "planes", stream, from })
        });
        self.streams.reads().chain(planes)
    }

    /// The diffusion of this task by a variant.
    pub fn diffusion(&self, variant: &Variant, seed: u64) -> Diffusion {
        let mut streams = self.streams.clone();
        if let Some(given) = variant.given.filter(|_| self.score.is_none()) {
            streams.set_given(given);
        }
        Diffusion {
            denoiser: variant.denoiser.clone(),
            streams,
            planes: self.planes.iter().map(|(stream, plane)| (stream.clone(), plane.array(stream))).collect(),
            guidance: self.guidance.clone(),
            sampler: variant.sampler.clone(),
            seed,
        }
    }
}
