//! A shard's rows on their way.

use std::collections::{BTreeMap, HashMap};

use anyflow_datasets::{Failure, RowKey};
use arrow::array::RecordBatch;
use tch::Tensor;

/// One shard's rows with the values that live at the moment. Rows that failed stay in place, with zeros, until the
/// writer leaves them out: so the batches, and the bits of the others, do not depend on them.
pub struct Batch {
    /// Which shard.
    pub shard: u64,
    /// Number of its first row in the whole input.
    pub first_row: u64,
    /// The input rows; `None` for a pipeline without inputs.
    pub input: Option<RecordBatch>,
    /// Key of each row.
    pub keys: Vec<RowKey>,
    /// Values by id: `[row, ...]`.
    pub values: HashMap<String, Tensor>,
    /// First failure of each row that failed.
    pub failures: BTreeMap<usize, Failure>,
    /// Nothing follows, and the run must not be finished.
    pub cut_short: bool,
}

impl Batch {
    /// The mark of a run that ended early.
    pub fn cut_short() -> Self {
        Batch {
            shard: 0,
            first_row: 0,
            input: None,
            keys: Vec::new(),
            values: HashMap::new(),
            failures: BTreeMap::new(),
            cut_short: true,
        }
    }

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
