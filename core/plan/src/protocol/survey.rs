//! Surveys of data: which rows of a dataset the codecs of a pipeline refuse. The engine reads rows as a run does, without
//! weights.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::plan::RunPlan;

/// An order to survey the input of a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SurveyOrder {
    /// The pipeline; its `format` is checked as that of an [`Order`](super::order::Order).
    pub plan: RunPlan,
    /// Dataset files or folders.
    pub inputs: Vec<String>,
    /// Column with the row key; by default `id` if it exists, otherwise the number of the row.
    pub key: Option<String>,
    /// Number of rows to read, spread over the dataset; `None` for all.
    pub sample: Option<u64>,
    /// Threads of codecs.
    pub threads: u32,
    /// Bytes of memory that the survey may use; by default a share of the machine's memory.
    pub memory_bytes: Option<u64>,
    /// Blake3 hashes, in hexadecimal, of the allowed plugin files; `None` allows all.
    pub plugins_allowed: Option<Vec<String>>,
}

/// The result of a survey.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    /// Rows of the dataset.
    pub rows: u64,
    /// Rows that were read.
    pub read: u64,
    /// Rows among them that a run would write to `failures.parquet`.
    pub failing: u64,
    /// Predicted share of failing rows, from 0 to 1.
    pub share: f64,
    /// Half the width of the 95 % confidence interval of `share`; 0 if all rows were read.
    pub margin: f64,
    /// The causes of the failures, the most frequent first.
    pub causes: Vec<FailureCause>,
    /// Values of codec parameters that accept refused cells, the most effective first.
    pub remedies: Vec<Remedy>,
    /// Input column -> its cells.
    pub columns: IndexMap<String, ColumnSurvey>,
    /// The keys of all rows.
    pub keys: KeySurvey,
}

/// Failed rows whose texts differ only in numbers and quoted words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureCause {
    /// The node.
    pub node: String,
    /// The code in `failures.parquet`.
    pub code: String,
    /// The text of the first row.
    pub text: String,
    /// Number of rows.
    pub rows: u64,
    /// Keys of the first rows.
    pub keys: Vec<String>,
}

/// A value of a codec parameter that accepts cells which the present value refuses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remedy {
    /// The stream or prompt of the codec.
    pub stream: String,
    /// The parameter.
    pub parameter: String,
    /// Its value in the model.
    pub now: Json,
    /// The value that accepts more.
    pub value: Json,
    /// Number of refused cells that were tried.
    pub tried: u64,
    /// Number of them that the value accepts.
    pub accepted: u64,
}

/// The cells of a column that the pipeline reads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnSurvey {
    /// Rows whose cell is null.
    pub nulls: u64,
    /// Rows whose cell cannot be read from the file.
    pub unreadable: u64,
    /// Property (`format`, `sampling rate`) -> value -> number of cells.
    pub kinds: IndexMap<String, IndexMap<String, u64>>,
    /// Property with its unit (`bytes`, `width px`, `seconds`, `characters`, `numbers`, `value`) -> its range.
    pub ranges: IndexMap<String, ValueRange>,
}

/// The range of a property.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValueRange {
    /// Smallest value.
    pub min: f64,
    /// Median; of an even number of values, the larger of the two in the middle.
    pub median: f64,
    /// Largest value.
    pub max: f64,
}

/// The keys of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySurvey {
    /// The column; `None` if rows have their number as key.
    pub column: Option<String>,
    /// Rows whose key was read, from the first row on.
    pub read: u64,
    /// Rows among them with the key of an earlier row.
    pub repeated: u64,
    /// Some repeated keys.
    pub examples: Vec<String>,
}
