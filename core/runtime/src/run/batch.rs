//! Some rows of a shard on their way.

use std::collections::{BTreeMap, HashMap};

use anyflow_datasets::{Failure, OwnedCell, RowKey};
use arrow::array::RecordBatch;
use indexmap::IndexMap;
use tch::Tensor;

/// Rows that go through the stages together, with the values that live at the moment. Rows that failed stay in place, with
/// zeros, until the last stage leaves them out: so the network calls, and the bits of the others, do not depend on them.
#[derive(Debug)]
pub struct Batch {
    /// Which shard.
    pub shard: u64,
    /// Number of its first row in the whole input.
    pub first_row: u64,
    /// Whether the shard ends with it.
    pub ends_shard: bool,
    /// The input rows; `None` for a pipeline without inputs.
    pub input: Option<RecordBatch>,
    /// Key of each row.
    pub keys: Vec<RowKey>,
    /// Values by id: `[row, ...]`.
    pub values: HashMap<String, Tensor>,
    /// Decoded values by id, a cell for each row that has one.
    pub cells: IndexMap<String, Vec<Option<OwnedCell>>>,
    /// First failure of each row that failed.
    pub failures: BTreeMap<usize, Failure>,
}

impl Batch {
    /// Notes that a row failed; its first failure counts.
    pub fn fail(&mut self, row: usize, node: &str, code: &str, text: String) {
        let Some(key) = self.keys.get(row) else { return };
        let failure = Failure {
            row_key: key.text.clone(),
            row: self.first_row + row as u64,
            node: node.into(),
            code: code.into(),
            text,
        };
        self.failures.entry(row).or_insert(failure);
    }
}
