//! The first stage: rows from Parquet, cut into micro-batches.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::PathBuf;

use anyflow_datasets::{Batches, Dataset, Features, RowKey, row_keys};
use anyflow_plan::order::Order;
use anyflow_plan::plan::RunPlan;
use arrow::array::RecordBatch;
use indexmap::IndexMap;

use super::batch::Batch;
use super::cut;
use crate::identity::Input;
use crate::{Result, RunError};

/// Reads shards: from a dataset, or from nothing but row numbers.
pub struct Reader<'a> {
    order: &'a Order,
    dataset: Option<Dataset>,
    rows: u64,
    /// Rows of a micro-batch at most.
    batch_rows: u64,
}

impl<'a> Reader<'a> {
    /// Opens the inputs; only footers are read.
    ///
    /// # Errors
    /// No or too many inputs, an empty dataset, what the dataset says.
    pub fn open(plan: &'a RunPlan, order: &'a Order) -> Result<Self> {
        let (dataset, rows) = match (plan.inputs.is_empty(), order.inputs.is_empty()) {
            (true, true) => {
                let missing = || RunError::Data(format!("pipeline {} has no inputs: say --rows N", plan.name));
                (None, order.rows.filter(|rows| *rows > 0).ok_or_else(missing)?)
            }
            (true, false) => {
                return Err(RunError::Data(format!("pipeline {} reads no inputs: leave --input out", plan.name)));
            }
            (false, true) => {
                let columns: Vec<_> = plan.inputs.values().map(|input| input.column.as_str()).collect();
                let columns = columns.join(", ");
                return Err(RunError::Data(format!("pipeline {} reads {columns}: say --input FILE", plan.name)));
            }
            (false, false) => {
                let paths: Vec<PathBuf> = order.inputs.iter().map(PathBuf::from).collect();
                let dataset = Dataset::open(&paths)?;
                let rows = order.rows.unwrap_or(u64::MAX).min(dataset.rows());
                (Some(dataset), rows)
            }
        };
        if rows == 0 {
            return Err(RunError::Data(format!("the input has no rows: {}", order.inputs.join(", "))));
        }
        let batch_rows = cut::micro_batch_rows(plan, order.shard_rows.max(1).min(rows));
        Ok(Reader { order, dataset, rows, batch_rows })
    }

    /// Rows in all.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows of a micro-batch at most.
    pub fn batch_rows(&self) -> u64 {
        self.batch_rows
    }

    /// Shards in all.
    pub fn shards(&self) -> u64 {
        self.rows.div_ceil(self.order.shard_rows.max(1))
    }

    /// The dataset, if the pipeline reads one.
    pub fn dataset(&self) -> Option<&Dataset> {
        self.dataset.as_ref()
    }

    /// Features of the input columns.
    pub fn features(&self) -> Features {
        self.dataset.as_ref().map(|dataset| dataset.features().clone()).unwrap_or_default()
    }

    /// What identifies the input.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn input(&self) -> Result<Input> {
        let content = self.dataset.as_ref().map(Dataset::content).transpose()?;
        Ok(Input { content, rows: self.rows })
    }

    /// The rows of these shards, micro-batch by micro-batch; each shard begins a new one.
    pub fn batches<'r>(&'r self, shards: impl Iterator<Item = u64> + 'r) -> impl Iterator<Item = Result<Batch>> + 'r {
        shards.flat_map(move |number| Shard { reader: self, number, left: self.range(number), reads: None })
    }

    fn range(&self, shard: u64) -> Range<u64> {
        let size = self.order.shard_rows.max(1);
        let start = shard.saturating_mul(size);
        start..start.saturating_add(size).min(self.rows)
    }
}

/// A shard that is being read: its micro-batches in order, up to the first error.
struct Shard<'r> {
    reader: &'r Reader<'r>,
    number: u64,
    /// Rows that are still to come.
    left: Range<u64>,
    reads: Option<Batches>,
}

impl Shard<'_> {
    fn batch(&mut self) -> Result<Batch> {
        let _span = tracing::info_span!("read", shard = self.number, row = self.left.start).entered();
        let first_row = self.left.start;
        let (input, keys) = match &self.reader.dataset {
            Some(dataset) => {
                // A cell that names a file would name one that the output folder does not have.
                let input = dataset.embed(&self.read(dataset)?)?;
                let keys = row_keys(&input, self.reader.order.key.as_deref(), first_row)?;
                (Some(input), keys)
            }
            None => (None, self.numbers().map(|row| RowKey::new(format!("#{row}"))).collect()),
        };
        self.left.start += keys.len() as u64;
        Ok(Batch {
            shard: self.number,
            first_row,
            ends_shard: self.left.is_empty(),
            input,
            keys,
            values: HashMap::new(),
            cells: IndexMap::new(),
            failures: BTreeMap::new(),
        })
    }

    fn numbers(&self) -> Range<u64> {
        self.left.start..self.left.start.saturating_add(self.reader.batch_rows).min(self.left.end)
    }

    fn read(&mut self, dataset: &Dataset) -> Result<RecordBatch> {
        let reads = match &mut self.reads {
            Some(reads) => reads,
            None => self.reads.insert(dataset.read(None, self.left.clone(), self.reader.batch_rows as usize)?),
        };
        let rows = reads.next().transpose()?.filter(|rows| rows.num_rows() > 0);
        rows.ok_or_else(|| {
            RunError::Internal(format!("the input ends before row {}, which its files promise", self.left.start))
        })
    }
}

impl Iterator for Shard<'_> {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left.is_empty() {
            return None;
        }
        let batch = self.batch();
        if batch.is_err() {
            self.left.start = self.left.end;
        }
        Some(batch)
    }
}
