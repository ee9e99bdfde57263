//! The first stage: rows from Parquet, cut into micro-batches.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyflow_datasets::{Bound, Dataset, Embedded, Features, RowBatch, RowKey, repeated_keys, row_keys};
use anyflow_plan::order::Order;
use anyflow_plan::plan::RunPlan;
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
    /// Rows with the key of another row of their shard.
    repeated: AtomicUsize,
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
        Ok(Reader { order, dataset, rows, batch_rows, repeated: AtomicUsize::new(0) })
    }

    /// Rows in all.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows of a micro-batch at most.
    pub fn batch_rows(&self) -> u64 {
        self.batch_rows
    }

    /// Rows so far that have the key of another row of their shard, and so the same noise.
    pub fn repeated(&self) -> usize {
        self.repeated.load(Ordering::Relaxed)
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
        shards.flat_map(move |number| Shard::new(self, number))
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
    reads: Option<Embedded>,
    /// Keys of the rows that came.
    keys: Vec<RowKey>,
}

impl<'r> Shard<'r> {
    fn new(reader: &'r Reader<'r>, number: u64) -> Self {
        Shard { reader, number, left: reader.range(number), reads: None, keys: Vec::new() }
    }

    fn batch(&mut self) -> Result<Batch> {
        let _span = tracing::info_span!("read", shard = self.number, row = self.left.start).entered();
        let read = self.reader.dataset.as_ref().map(|dataset| self.read(dataset)).transpose()?;
        let keys = match &read {
            Some(read) => row_keys(&read.rows, self.reader.order.key.as_deref(), self.left.start)?,
            None => self.numbers().map(|row| RowKey::new(format!("#{row}"))).collect(),
        };
        let first_row = self.left.start;
        self.left.start += keys.len() as u64;
        self.look_for_repeated(&keys);
        let mut batch = Batch {
            shard: self.number,
            first_row,
            ends_shard: self.left.is_empty(),
            input: None,
            keys,
            values: HashMap::new(),
            cells: IndexMap::new(),
            failures: BTreeMap::new(),
        };
        if let Some(RowBatch { rows, unreadable, .. }) = read {
            batch.input = Some(rows);
            unreadable.into_iter().for_each(|bad| batch.fail(bad.row, "input", bad.code, bad.reason));
        }
        Ok(batch)
    }

    fn numbers(&self) -> Range<u64> {
        self.left.start..self.left.start.saturating_add(self.reader.batch_rows).min(self.left.end)
    }

    fn read(&mut self, dataset: &Dataset) -> Result<RowBatch> {
        let reads = match &mut self.reads {
            Some(reads) => reads,
            None => {
                let bound = Bound { rows: self.reader.batch_rows as usize, bytes: cut::MICRO_BATCH_BYTES };
                // A cell that names a file would name one that the output folder does not have.
                self.reads.insert(dataset.read(None, self.left.clone(), bound)?.embedded(dataset))
            }
        };
        let read = reads.next().transpose()?.filter(|read| read.num_rows() > 0);
        read.ok_or_else(|| {
            RunError::Internal(format!("the input ends before row {}, which its files promise", self.left.start))
        })
    }

    fn look_for_repeated(&mut self, keys: &[RowKey]) {
        self.keys.extend_from_slice(keys);
        if self.left.is_empty() {
            self.reader.repeated.fetch_add(repeated_keys(&self.keys), Ordering::Relaxed);
        }
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
