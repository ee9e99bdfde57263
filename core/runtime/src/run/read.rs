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
        Batches { reader: self, shards, shard: Shard { number: 0, left: 0..0, keys: Vec::new() }, pass: None }
    }

    fn range(&self, shard: u64) -> Range<u64> {
        let size = self.order.shard_rows.max(1);
        let start = shard.saturating_mul(size);
        start..start.saturating_add(size).min(self.rows)
    }
}

/// Shards that one pass over the files reads at most: enough that its start costs nothing.
const SHARDS_PER_PASS: u64 = 256;

/// Micro-batches of several shards.
struct Batches<'r, I> {
    reader: &'r Reader<'r>,
    shards: I,
    shard: Shard,
    /// A pass over the files continues from shard to shard.
    pass: Option<Pass>,
}

/// A shard that is being read.
struct Shard {
    number: u64,
    /// Rows that are still to come.
    left: Range<u64>,
    /// Keys of the rows that came.
    keys: Vec<RowKey>,
}

/// Consecutive rows of the files.
struct Pass {
    batches: Embedded,
    next_row: u64,
    end: u64,
}

impl<I> Batches<'_, I> {
    fn batch(&mut self) -> Result<Batch> {
        let _span = tracing::info_span!("read", shard = self.shard.number, row = self.shard.left.start).entered();
        let read = self.reader.dataset.as_ref().map(|dataset| self.read(dataset)).transpose()?;
        let first_row = self.shard.left.start;
        let keys = match &read {
            Some(read) => row_keys(&read.rows, self.reader.order.key.as_deref(), first_row)?,
            None => self.numbers().map(|row| RowKey::new(format!("#{row}"))).collect(),
        };
        self.shard.left.start += keys.len() as u64;
        self.look_for_repeated(&keys);
        let mut batch = Batch {
            shard: self.shard.number,
            first_row,
            ends_shard: self.shard.left.is_empty(),
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
        let Range { start, end } = self.shard.left;
        start..start.saturating_add(self.reader.batch_rows).min(end)
    }

    fn read(&mut self, dataset: &Dataset) -> Result<RowBatch> {
        let row = self.shard.left.start;
        let mut pass = match self.pass.take().filter(|pass| pass.next_row == row) {
            Some(pass) => pass,
            None => self.begin_pass(dataset)?,
        };
        let read = pass.batches.next().transpose()?.filter(|read| read.num_rows() > 0);
        let read = read
            .ok_or_else(|| RunError::Internal(format!("the input ends before row {row}, which its files promise")))?;
        pass.next_row += read.num_rows() as u64;
        self.pass = Some(pass).filter(|pass| pass.next_row < pass.end);
        Ok(read)
    }

    /// A pass over this shard and those after it.
    fn begin_pass(&self, dataset: &Dataset) -> Result<Pass> {
        let shard_rows = self.reader.order.shard_rows.max(1);
        let start = self.shard.left.start;
        let end = start.saturating_add(shard_rows.saturating_mul(SHARDS_PER_PASS)).min(self.reader.rows);
        let bound = Bound { rows: self.reader.batch_rows as usize, bytes: cut::MICRO_BATCH_BYTES };
        // A cell that names a file would name one that the output folder does not have.
        let batches = dataset.read_sections(None, start..end, shard_rows, bound)?.embedded(dataset);
        Ok(Pass { batches, next_row: start, end })
    }

    fn look_for_repeated(&mut self, keys: &[RowKey]) {
        self.shard.keys.extend_from_slice(keys);
        if self.shard.left.is_empty() {
            self.reader.repeated.fetch_add(repeated_keys(&self.shard.keys), Ordering::Relaxed);
        }
    }
}

impl<I: Iterator<Item = u64>> Iterator for Batches<'_, I> {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.shard.left.is_empty() {
            let number = self.shards.next()?;
            self.shard = Shard { number, left: self.reader.range(number), keys: Vec::new() };
        }
        let batch = self.batch();
        if batch.is_err() {
            self.shard.left.start = self.shard.left.end;
        }
        Some(batch)
    }
}
