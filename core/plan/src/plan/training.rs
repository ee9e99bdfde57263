//! Trainings: sources, the tables made of them, and the stages that read these.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Component, Model};

/// A checked training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainPlan {
    /// See [`PLAN_FORMAT`](super::PLAN_FORMAT).
    pub format: u32,
    /// The training's name.
    pub name: String,
    /// The YAML it came from.
    pub source: String,
    /// The model; its checkpoint is what is written.
    pub model: Model,
    /// Safetensors file with weights to start from; what it does not hold starts fresh.
    pub start: Option<String>,
    /// Streams, denoisers and scorers that start fresh though that file has their weights.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fresh: Vec<String>,
    /// Parts of the model that start as parts of other files, by name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub take: IndexMap<String, Taken>,
    /// Scorers that are trained beside the model, by name.
    pub scorers: IndexMap<String, Scorer>,
    /// Files: source name -> paths. Those of generated sources are relative to the output folder until they are made.
    pub sources: IndexMap<String, Vec<String>>,
    /// Sources that are generated before anything else is done.
    #[serde(default)]
    pub generated: IndexMap<String, Generated>,
    /// Named tables made of the sources.
    pub data: IndexMap<String, Table>,
    /// The stages in order.
    pub stages: Vec<Stage>,
    /// Seed of everything.
    pub seed: u64,
}

/// A part of a file of weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// Safetensors file.
    pub from: String,
    /// What the part is called there: what its weights' names begin with.
    pub part: String,
}

/// A classifier with a codec of its own, trained apart from the generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scorer {
    /// The stream whose cells and array it judges.
    pub stream: String,
    /// The module, with role `score`; without one the array itself is the scores (a one-hot stream).
    pub module: Option<Component>,
    /// Number of classes.
    pub classes: i64,
    /// Axes of the features that it gives beside the scores, if it does.
    #[serde(default)]
    pub features: Option<Vec<i64>>,
    /// Axes of the numbers whose squared differences are a perceptual distance, if it gives such.
    #[serde(default)]
    pub perceptual: Option<Vec<i64>>,
    /// Safetensors file with its weights; `None` only while training.
    pub checkpoint: Option<String>,
}

/// A source that is made out of a seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generated {
    /// The kind, a word that the datasets know.
    pub generate: String,
    /// Rows.
    pub rows: u64,
    /// Seed of everything in them.
    pub seed: u64,
    /// The source whose files hold the shapes that captions are about, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shapes: Option<String>,
    /// Which combinations there are, a word that the datasets know, if it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub combinations: Option<String>,
}

/// Rows made of one or several sources.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The column on which rows of several sources are matched, anew at each step; `None` for a single source.
    pub join: Option<String>,
    /// Stream or prompt -> where its cells come from.
    pub columns: IndexMap<String, ColumnRef>,
    /// Where the class of a row comes from, if asked for.
    pub class: Option<ColumnRef>,
    /// The words of that column in the order of their classes; empty where it holds numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
}

/// A column of a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnRef {
    /// Source name.
    pub source: String,
    /// Column name.
    pub column: String,
}

/// One stage of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// What is trained.
    pub train: Trained,
    /// `{kind, ...}`, all defaults filled: `reconstruct`, `statistics`, `denoise`, `contrast`, `classify`.
    pub objective: Json,
    /// Table that it reads.
    pub data: String,
    /// Optimizer steps.
    pub steps: u64,
    /// Steps, ascending and below `steps`, after which the weights are kept in a file of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<u64>,
    /// Rows a step.
    pub batch: u64,
    /// Rows a network call, at most `batch`; gradients add up to those of the batch.
    pub micro_batch: u64,
    /// `{kind, ...}`: optimizer and learning-rate law, all defaults filled.
    pub optimizer: Json,
    /// Decay of the exponential moving average of the weights; 0 for none.
    pub ema: f64,
    /// Names of the weights of a denoiser that are trained, with `*` for any characters; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<String>,
}

/// What a stage trains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trained {
    /// The module of a stream.
    Stream(String),
    /// A denoiser (its streams' modules are frozen).
    Denoiser(String),
    /// A scorer.
    Scorer(String),
    /// The modules of prompts and streams; what they meet and that is not named stays as it is.
    Prompts(Vec<String>),
    /// Nothing: latent statistics of all streams.
    Statistics,
}
