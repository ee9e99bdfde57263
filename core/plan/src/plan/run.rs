//! Runs: the values of a pipeline and the steps that make them, in order.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Model, Type};
use crate::descriptor::Role;

/// A checked pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunPlan {
    /// See [`PLAN_FORMAT`](super::PLAN_FORMAT).
    pub format: u32,
    /// The pipeline's name.
    pub name: String,
    /// The YAML it came from.
    pub source: String,
    /// The model.
    pub model: Model,
    /// Columns that are read: input name -> column.
    pub inputs: IndexMap<String, Input>,
    /// Every value that comes to be, by its id: an input's name, or `node.port`, or `node` for a single port.
    pub values: IndexMap<String, Value>,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// Columns that are written: column -> value id (always cells).
    pub outputs: IndexMap<String, String>,
    /// Estimated bytes that a row holds at the peak, all values counted that live at the same time.
    pub bytes_per_row: u64,
}

/// A column to read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// Column name in the dataset.
    pub column: String,
    /// The type its cells must have.
    #[serde(rename = "type")]
    pub kind: Type,
}

/// A value: written once by one step, read by others, then dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Type,
    /// Index of the step that makes it; `None` for an input.
    pub made_by: Option<usize>,
    /// Index of the last step that reads it; `None` if it is only written out.
    pub last_use: Option<usize>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The node of the pipeline it belongs to, for messages.
    pub node: String,
    /// What is done.
    #[serde(flatten)]
    pub op: Op,
}

/// The operations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Op {
    /// Codec, cells -> array, on a worker thread.
    ReadCells {
        /// Stream or prompt whose codec is used.
        stream: String,
        /// Cells.
        from: String,
        /// Array.
        to: String,
    },
    /// Codec, array -> cells, on a worker thread.
    WriteCells {
        /// Stream whose codec is used.
        stream: String,
        /// Array.
        from: String,
        /// Cells.
        to: String,
    },
    /// A module, on the compute thread.
    Module {
        /// Stream or prompt whose module is used.
        stream: String,
        /// `encode`, `decode` or `embed`.
        role: Role,
        /// Array or latent.
        from: String,
        /// Latent, array or tokens.
        to: String,
    },
    /// Diffusion.
    Diffuse {
        /// The denoiser.
        denoiser: String,
        /// Streams to generate that somebody reads: stream -> value id.
        generate: IndexMap<String, String>,
        /// Streams generated along and dropped.
        along: Vec<String>,
        /// Given streams: stream -> value id of a latent.
        observe: IndexMap<String, String>,
        /// Of the given streams, those that are given in part and generated for the rest: stream -> value id of a tensor
        /// of the latent's shape, above 0.5 where elements are given.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        masks: IndexMap<String, String>,
        /// How the network sees streams that are given whole.
        #[serde(default, skip_serializing_if = "Given::is_default")]
        given: Given,
        /// Prompts, mixed by their shares in the sum of weights.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        condition: Vec<Condition>,
        /// `{kind, ...}`, all defaults filled; none for plain predictions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        guidance: Option<Json>,
        /// Streams of the denoiser that take no part.
        absent: Vec<String>,
        /// `{kind, ...}`, all defaults filled.
        sampler: Json,
        /// Seed of the noise.
        seed: u64,
    },
    /// Classes, told by what a diffusion recovers of a stream.
    Score {
        /// The denoiser.
        denoiser: String,
        /// What is recovered, and what it is compared with.
        scoring: Scoring,
        /// Given streams: stream -> value id of a latent.
        observe: IndexMap<String, String>,
        /// Streams of the denoiser that take no part.
        absent: Vec<String>,
        /// `{kind, ...}`, all defaults filled.
        sampler: Json,
        /// Seed of the noise.
        seed: u64,
        /// Value id of the names of the classes that fit best, if somebody reads it.
        label: Option<String>,
        /// Value id of the cosines with all classes, if somebody reads it.
        scores: Option<String>,
    },
}

/// Classes that are told by what is recovered of a stream: the nearest one, by the cosine, of the mean over the draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scoring {
    /// The stream that is recovered.
    pub stream: String,
    /// Class -> the cells of the stream that stand for it; the mean of their directions counts.
    pub classes: IndexMap<String, Vec<String>>,
    /// How often the stream is recovered.
    pub draws: u64,
}

/// A prompt with its weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// The prompt.
    pub prompt: String,
    /// Value id of its tokens.
    pub from: String,
    /// Above 0.
    pub weight: f64,
}

/// How the network sees streams that are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Given {
    /// Clean, at time 0.
    #[default]
    Clean,
    /// Noised anew at each step, at the time of the streams that are generated.
    Noised,
}

impl Given {
    pub(super) fn is_default(&self) -> bool {
        *self == Given::default()
    }
}
