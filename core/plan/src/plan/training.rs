//! Trainings: sources, tables and stages.

use anyflow_config::{
    DenoiserObjective, Measurement, ModuleObjective, ObjectiveConfig, ScorerObjective, StageOptions, StreamObjective,
};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{Component, Model, WeightsPart};

/// A checked training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainPlan {
    /// See [`PLAN_FORMAT`](super::PLAN_FORMAT).
    pub format: u32,
    /// The training's name.
    pub name: String,
    /// The YAML it came from.
    pub source: String,
    /// The model. The training writes its checkpoint.
    pub model: Model,
    /// Safetensors file with weights to start from. Parts that it does not contain are initialized.
    pub start: Option<String>,
    /// Streams, prompts, denoisers and scorers that are initialized although that file has their weights.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fresh: Vec<String>,
    /// Parts of the model to initialize from other files, by name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub take: IndexMap<String, WeightsPart>,
    /// Scorers to train next to the model, by name.
    pub scorers: IndexMap<String, ScorerConfig>,
    /// Files: source name -> paths. Paths of generated sources are relative to the output folder.
    pub sources: IndexMap<String, Vec<String>>,
    /// Sources to generate first.
    #[serde(default)]
    pub generated: IndexMap<String, Generated>,
    /// Tables made from the sources, by name.
    pub data: IndexMap<String, Table>,
    /// The stages in order.
    pub stages: Vec<Stage>,
    /// Seed of initialization, order of rows, noise and times.
    pub seed: u64,
}

/// A classifier, trained independently of the generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScorerConfig {
    /// The stream whose arrays it takes as input.
    pub stream: String,
    /// The module, with role `score`. Without one the array is the scores (a one-hot stream).
    pub module: Option<Component>,
    /// Number of classes.
    pub classes: i64,
    /// Shape of its features, if it has that role.
    #[serde(default)]
    pub features: Option<Vec<i64>>,
    /// Shape of its perceptual embedding, if it has that role.
    #[serde(default)]
    pub perceptual: Option<Vec<i64>>,
    /// Safetensors file with its weights; `None` only while training.
    pub checkpoint: Option<String>,
}

/// A generated source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generated {
    /// The generator, by its name in the catalog.
    pub generate: String,
    /// Rows.
    pub rows: u64,
    /// Seed of the rows.
    pub seed: u64,
    /// The written keys of the generator, except for sources.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Json>,
    /// Its written keys that name sources of files.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub sources: IndexMap<String, String>,
}

/// Rows from one or several sources.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The column on which rows of several sources are joined, anew at each step; `None` for a single source.
    pub join: Option<String>,
    /// Stream or prompt -> column of its cells.
    pub columns: IndexMap<String, ColumnRef>,
    /// Column with the class of a row, if any.
    pub class: Option<ColumnRef>,
    /// The words of that column in the order of their class numbers; empty if it holds numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
}

impl Table {
    /// The columns of a source that are read as cells, and what their codecs declare of the cells.
    pub fn columns_read<'a>(&'a self, source: &'a str, model: &'a Model) -> impl Iterator<Item = (&'a str, &'a str)> {
        let columns = self.columns.iter().filter(move |(_, column)| column.source == source);
        columns.filter_map(|(stream, column)| Some((column.column.as_str(), model.feature(stream)?)))
    }
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
    /// The trained part, with its objective.
    pub train: Trained,
    /// Table to read.
    pub data: String,
    /// How it trains. Without effect if it trains nothing.
    #[serde(flatten)]
    pub options: StageOptions,
}

/// The trained part of a stage, with an objective that can train it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trained {
    /// The module of a stream.
    Stream {
        /// The stream.
        name: String,
        /// What the stage minimizes.
        objective: StreamObjective,
    },
    /// A denoiser. The modules of its streams are frozen.
    Denoiser {
        /// The denoiser.
        name: String,
        /// What the stage minimizes.
        objective: DenoiserObjective,
    },
    /// A scorer.
    Scorer {
        /// The scorer.
        name: String,
        /// What the stage minimizes.
        objective: ScorerObjective,
    },
    /// The modules of prompts and streams. The partner of the objective is frozen unless it is named.
    Modules {
        /// The prompts and streams.
        names: Vec<String>,
        /// What the stage minimizes.
        objective: ModuleObjective,
    },
    /// Nothing.
    Nothing {
        /// What the stage measures.
        objective: Measurement,
    },
}

impl Trained {
    /// The objective.
    pub fn objective(&self) -> ObjectiveConfig {
        match self {
            Trained::Stream { objective, .. } => objective.clone().into(),
            Trained::Denoiser { objective, .. } => objective.clone().into(),
            Trained::Scorer { objective, .. } => objective.clone().into(),
            Trained::Modules { objective, .. } => objective.clone().into(),
            Trained::Nothing { objective } => objective.clone().into(),
        }
    }

    /// True if it has no weights.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Trained::Nothing { .. })
    }
}
