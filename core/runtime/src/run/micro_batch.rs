//! A micro-batch: rows of a shard that pass through the stages together.

use std::collections::{BTreeMap, HashMap};

use anyflow_datasets::{Failure, OwnedCell, RowBatch, RowKey};
use arrow::array::RecordBatch;
use indexmap::IndexMap;
use tch::{Device, Tensor};

use crate::Result;

/// Rows with all values that are still needed. Failed rows stay in their position, as zeros, until the last stage drops
/// them. So neither the network calls nor the bits of other rows depend on failures.
#[derive(Debug)]
pub struct MicroBatch {
    /// Index of the shard.
    pub shard: u64,
    /// The number of each row in the whole input.
    pub numbers: Vec<u64>,
    /// True for the last micro-batch of the shard.
    pub ends_shard: bool,
    /// The input rows; `None` for a pipeline without inputs.
    pub input: Option<RecordBatch>,
    /// Key of each row.
    pub keys: Vec<RowKey>,
    /// Values by id: `[row, ...]`.
    pub values: HashMap<String, Tensor>,
    /// Decoded values by id, with a cell per row; `None` for failed rows.
    pub cells: IndexMap<String, Vec<Option<OwnedCell>>>,
    /// The first failure of each failed row.
    pub failures: BTreeMap<usize, Failure>,
}

impl MicroBatch {
    /// Rows as they are read; unreadable rows have failed. It belongs to shard 0 and does not end it. `input` is `None`
    /// for a pipeline without inputs.
    pub fn new(numbers: Vec<u64>, keys: Vec<RowKey>, input: Option<RowBatch>) -> Self {
        let mut batch = MicroBatch {
            shard: 0,
            numbers,
            ends_shard: false,
            input: None,
            keys,
            values: HashMap::new(),
            cells: IndexMap::new(),
            failures: BTreeMap::new(),
        };
        if let Some(RowBatch { rows, unreadable, .. }) = input {
            batch.input = Some(rows);
            unreadable.into_iter().for_each(|bad| batch.fail(bad.row, "input", bad.code, bad.reason));
        }
        batch
    }

    /// The number of the first row.
    pub fn first_row(&self) -> u64 {
        self.numbers.first().copied().unwrap_or_default()
    }

    /// Records that a row failed. The first failure of a row is kept.
    pub fn fail(&mut self, row: usize, node: &str, code: &str, text: String) {
        let (Some(key), Some(number)) = (self.keys.get(row), self.numbers.get(row)) else { return };
        let failure = Failure { row_key: key.text.clone(), row: *number, node: node.into(), code: code.into(), text };
        self.failures.entry(row).or_insert(failure);
    }

    /// Fails the rows of `numbers`, `[row, ...]`, with a NaN or infinite number, and returns them as zeros.
    ///
    /// # Errors
    /// libtorch failed.
    pub fn fail_infinite(&mut self, numbers: Tensor, because: FailedRows<'_>) -> Result<Tensor> {
        let rows = numbers.size().first().copied().unwrap_or(0);
        if rows == 0 {
            return Ok(numbers);
        }
        let finite = numbers.f_isfinite()?.f_reshape([rows, -1])?.f_all_dim(1, false)?;
        let flags = Vec::<bool>::try_from(finite.f_to_device(Device::Cpu)?)?;
        if flags.iter().all(|is_finite| *is_finite) {
            return Ok(numbers);
        }
        for row in (0..flags.len()).filter(|row| !flags[*row]) {
            self.fail(row, because.node, because.code, because.text.clone());
        }
        let kept: Vec<i64> = std::iter::once(rows).chain(numbers.size().iter().skip(1).map(|_| 1)).collect();
        Ok(numbers.f_where_self(&finite.f_reshape(kept)?, &numbers.f_zeros_like()?)?)
    }
}

/// Why rows fail.
#[derive(Debug)]
pub struct FailedRows<'a> {
    /// The node.
    pub node: &'a str,
    /// The code of the failure.
    pub code: &'static str,
    /// What is wrong.
    pub text: String,
}
