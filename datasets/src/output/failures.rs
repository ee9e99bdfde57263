//! The table of failed rows. A bad row does not abort the job.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema};
use serde::{Deserialize, Serialize};

use super::FAILURES_FILE;
use crate::error::{DatasetError, Result};
use crate::feature::Features;
use crate::folder::Folder;
use crate::write::{TableWriter, WrittenFile};

/// A row that could not be read, or failed in a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Text of the row's key.
    pub row_key: String,
    /// Index of the row in the input.
    pub row: u64,
    /// Node that failed; the input's name if the row could not be read.
    pub node: String,
    /// Short stable code, for counting.
    pub code: String,
    /// The reason, for people.
    pub text: String,
}

/// Schema of `failures.parquet`: `row_key`, `row`, `node`, `code`, `text`.
pub fn failures_schema() -> Schema {
    let text = |name| Field::new(name, DataType::Utf8, false);
    Schema::new(vec![
        text("row_key"),
        Field::new("row", DataType::UInt64, false),
        text("node"),
        text("code"),
        text("text"),
    ])
}

/// Writes the failures of all shards in order; a file without rows if there are none.
pub(super) fn write<'f>(folder: &Folder, shards: impl Iterator<Item = &'f [Failure]>) -> Result<WrittenFile> {
    let schema = failures_schema();
    let mut writer = TableWriter::create_in(folder, FAILURES_FILE, &schema, &Features::from_schema(&schema))?;
    for failures in shards.filter(|failures| !failures.is_empty()) {
        writer.write(&batch_from_failures(failures)?)?;
    }
    writer.finish()
}

fn batch_from_failures(failures: &[Failure]) -> Result<RecordBatch> {
    let text =
        |get: fn(&Failure) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(failures.iter().map(get))) };
    let columns = vec![
        text(|failure| &failure.row_key),
        Arc::new(UInt64Array::from_iter_values(failures.iter().map(|failure| failure.row))) as ArrayRef,
        text(|failure| &failure.node),
        text(|failure| &failure.code),
        text(|failure| &failure.text),
    ];
    RecordBatch::try_new(Arc::new(failures_schema()), columns)
        .map_err(|error| DatasetError::internal("writing failures", error))
}
