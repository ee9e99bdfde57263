//! Runs: the values of a pipeline and the steps that make them, in order.

use anyflow_config::Dtype;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Diffusion, Model, ScorerConfig, Type};
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
    /// Inputs that have the same cell in every row: input name -> cell.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub constants: IndexMap<String, Constant>,
    /// Scorers of the nodes that judge, by node.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub scorers: IndexMap<String, ScorerConfig>,
    /// All values by id: an input's name, `node.port`, or `node` for a node with a single port.
    pub values: IndexMap<String, Value>,
    /// Steps in order.
    pub steps: Vec<Step>,
    /// Columns that are written: column -> value id (always cells).
    pub outputs: IndexMap<String, String>,
    /// Estimated peak bytes of a row, over all values alive at the same time.
    pub bytes_per_row: u64,
}

impl RunPlan {
    /// The columns that are read, and what their codecs declare of the cells.
    pub fn columns_read(&self) -> impl Iterator<Item = (&str, &str)> {
        self.inputs.values().filter_map(|input| Some((input.column.as_str(), input.kind.feature()?)))
    }
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

/// A cell that every row has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Constant {
    /// A text, a number, or a list of numbers.
    pub cell: Json,
    /// The type of the cell.
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

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its node in the pipeline, for messages.
    pub node: String,
    /// The operation.
    #[serde(flatten)]
    pub op: Op,
}

impl Op {
    /// True for an operation that makes cells from numbers. It runs after all computation.
    pub fn is_writing(&self) -> bool {
        matches!(self, Op::WriteCells { .. } | Op::WriteNumbers { .. })
    }

    /// The diffusion of a step that generates or classifies.
    pub fn diffusion(&self) -> Option<&Diffusion> {
        match self {
            Op::Diffuse { diffusion, .. } | Op::Score { diffusion, .. } => Some(diffusion),
            _ => None,
        }
    }

    /// As [`Op::diffusion`], to change it.
    pub fn diffusion_mut(&mut self) -> Option<&mut Diffusion> {
        match self {
            Op::Diffuse { diffusion, .. } | Op::Score { diffusion, .. } => Some(diffusion),
            _ => None,
        }
    }
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
    /// A list of numbers per row -> vector, on a worker thread.
    ReadNumbers {
        /// How many.
        numbers: i64,
        /// Cells.
        from: String,
        /// Vector.
        to: String,
    },
    /// Latent, tokens, vector, features or scores -> a list of numbers per row, nested by axis, on a worker thread.
    WriteNumbers {
        /// Latent, tokens, vector, features or scores.
        from: String,
        /// Cells.
        to: String,
        /// The number type of the column.
        #[serde(default, skip_serializing_if = "is_f32")]
        dtype: Dtype,
    },
    /// Hides what a mask marks, on the compute thread.
    Hide {
        /// Array.
        from: String,
        /// Array of one channel; elements above 0.5 are marked.
        mask: String,
        /// What takes the place of marked elements.
        fill: f64,
        /// Array.
        to: String,
    },
    /// A module, on the compute thread.
    Module {
        /// Stream or prompt whose module is used.
        stream: String,
        /// `encode`, `decode`, `embed` or `pool`.
        role: Role,
        /// Array or latent.
        from: String,
        /// Latent, array, tokens or vector.
        to: String,
    },
    /// Puts the features of tokens side by side.
    Join {
        /// Tokens, of the same number.
        from: Vec<String>,
        /// Tokens with the features of all, one behind the other.
        to: String,
    },
    /// Classification by the scorer of the node, on the compute thread.
    Judge {
        /// Array.
        from: String,
        /// Names of the classes; empty if they are numbers.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        names: Vec<String>,
        /// Value id of the best class of each row, if a step or output reads it.
        label: Option<String>,
        /// Value id of the log-probabilities of all classes, if a step or output reads them.
        scores: Option<String>,
        /// Value id of the features of each row, if a step or output reads them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        features: Option<String>,
    },
    /// Comparison by a scorer of the model, on the compute thread.
    Compare {
        /// The scorer.
        scorer: String,
        /// Vector of its first prompt.
        from: String,
        /// Vector of its second prompt, of each row; `None` with classes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        against: Option<String>,
        /// Class -> cells of the second prompt that describe it; their normalized vectors are averaged.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        classes: IndexMap<String, Vec<String>>,
        /// Value id of the best class of each row, if a step or output reads it.
        label: Option<String>,
        /// Value id of the scores: of all classes, or of the row alone; if a step or output reads it.
        scores: Option<String>,
    },
    /// Diffusion.
    Diffuse {
        /// The diffusion.
        #[serde(flatten)]
        diffusion: Diffusion,
        /// The outputs that a step or an output reads: stream -> value id of its latent.
        to: IndexMap<String, String>,
    },
    /// Classification by the predicted x0 of a stream.
    Score {
        /// The diffusion, with the stream as its only output.
        #[serde(flatten)]
        diffusion: Diffusion,
        /// The stream, and the classes to compare it with.
        scoring: Scoring,
        /// Value id of the best class of each row, if a step or output reads it.
        label: Option<String>,
        /// Value id of the cosines with all classes, if a step or output reads it.
        scores: Option<String>,
    },
}

/// Classification: the class whose embedding has the largest cosine with the predicted x0, averaged over the samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scoring {
    /// The stream to predict.
    pub stream: String,
    /// Class -> cells of the stream that describe it; their normalized embeddings are averaged.
    pub classes: IndexMap<String, Vec<String>>,
    /// Number of predictions from different noise.
    pub samples: u64,
}

/// True for the number type that a column has if none is written.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_f32(dtype: &Dtype) -> bool {
    *dtype == Dtype::F32
}
