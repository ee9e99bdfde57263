//! What a task answers: one row per shard. Rows of the job itself never pass through Ballista.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{ClusterError, Result};

const SHARD: &str = "shard";
const SUMMARY: &str = "summary";

/// What became of a shard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShardReport {
    /// The shard; `None` for an empty one.
    pub shard: Option<u64>,
    /// Who did it.
    pub worker: String,
    /// How it ended.
    pub outcome: ShardOutcome,
    /// Messages for people.
    pub notes: Vec<String>,
    /// How often this worker has loaded the job's model.
    pub loads: u64,
    /// The time that it took.
    pub seconds: f64,
}

/// How a shard ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum ShardOutcome {
    /// It is committed.
    Done {
        /// Good rows.
        rows: u64,
        /// Failed rows.
        failed: u64,
    },
    /// It was committed before.
    Skipped,
    /// It is not committed; another try may succeed.
    Failed {
        /// The reason.
        text: String,
    },
    /// It was empty: this is what the worker has.
    Empty {
        /// Versions, devices, plugins, clock, access.
        found: Value,
    },
}

/// The columns of tasks: the number of a shard, null for an empty one.
pub fn task_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(SHARD, DataType::UInt64, true)]))
}

/// A task as a batch of one row.
///
/// # Errors
/// [`ClusterError::Internal`].
pub fn task(shard: Option<u64>) -> Result<RecordBatch> {
    let shards: ArrayRef = Arc::new(UInt64Array::from(vec![shard]));
    RecordBatch::try_new(task_schema(), vec![shards]).map_err(ClusterError::internal)
}

/// The shards of tasks.
///
/// # Errors
/// [`ClusterError::Internal`] for other columns.
pub fn shards(batch: &RecordBatch) -> Result<Vec<Option<u64>>> {
    let column = batch.column_by_name(SHARD).and_then(|column| column.as_any().downcast_ref::<UInt64Array>());
    let column = column.ok_or_else(|| ClusterError::internal("a task has no column of shards"))?;
    Ok(column.iter().collect())
}

/// The columns of answers.
pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(SUMMARY, DataType::Utf8, false)]))
}

/// Answers as a batch.
///
/// # Errors
/// [`ClusterError::Internal`].
pub fn to_batch(summaries: &[ShardReport]) -> Result<RecordBatch> {
    let texts = summaries.iter().map(serde_json::to_string).collect::<Result<Vec<String>, _>>();
    let texts: ArrayRef = Arc::new(StringArray::from(texts.map_err(ClusterError::internal)?));
    RecordBatch::try_new(schema(), vec![texts]).map_err(ClusterError::internal)
}

/// The answers in a batch.
///
/// # Errors
/// [`ClusterError::Internal`] for other columns.
pub fn from_batch(batch: &RecordBatch) -> Result<Vec<ShardReport>> {
    let column = batch.column_by_name(SUMMARY).and_then(|column| column.as_any().downcast_ref::<StringArray>());
    let column = column.ok_or_else(|| ClusterError::internal("an answer has no column of summaries"))?;
    let text = |row| serde_json::from_str(column.value(row)).map_err(ClusterError::internal);
    (0..column.len()).map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_and_answers_are_read_back() {
        assert_eq!(shards(&task(Some(7)).unwrap()).unwrap(), [Some(7)]);
        assert_eq!(shards(&task(None).unwrap()).unwrap(), [None]);
        let outcome = ShardOutcome::Done { rows: 3, failed: 1 };
        let summary = ShardReport {
            shard: Some(7),
            worker: "a".into(),
            outcome,
            notes: vec!["n".into()],
            loads: 1,
            seconds: 0.5,
        };
        assert_eq!(from_batch(&to_batch(std::slice::from_ref(&summary)).unwrap()).unwrap(), [summary]);
    }
}
