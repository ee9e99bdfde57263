//! The first stage: rows from Parquet, cut into micro-batches.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyflow_datasets::{Bound, Dataset, Embedded, Features, RowBatch, RowKey, repeated_keys, row_keys};
use anyflow_plan::order::Order;
use anyflow_plan::plan::RunPlan;
use indexmap::IndexMap;

use super::cut;
use super::micro_batch::MicroBatch;
use crate::identity::Input;
use crate::{Result, RunError};

/// Reads shards from a dataset. A pipeline without inputs gets rows that only have an index.
pub struct ShardReader<'a> {
    order: &'a Order,
    dataset: Option<Dataset>,
    rows: u64,
    /// Maximum rows of a micro-batch.
    batch_rows: u64,
    /// Number of rows whose key repeats in their shard.
    repeated: AtomicUsize,
}

impl<'a> ShardReader<'a> {
    /// Opens the inputs. Reads only the footers of the files.
    ///
    /// # Errors
    /// Missing or superfluous inputs; an empty dataset; errors of the dataset.
    pub fn open(plan: &'a RunPlan, order: &'a Order) -> Result<Self> {
        let (dataset, rows) = match (plan.inputs.is_empty(), order.inputs.is_empty()) {
            (true, true) => {
                let missing = || {
                    let name = &plan.name;
                    RunError::Data(format!("pipeline {name} has no inputs; set the number of rows with --rows N"))
                };
                (None, order.rows.filter(|rows| *rows > 0).ok_or_else(missing)?)
            }
            (true, false) => {
                return Err(RunError::Data(format!("pipeline {} has no inputs; remove --input", plan.name)));
            }
            (false, true) => {
                let columns: Vec<_> = plan.inputs.values().map(|input| input.column.as_str()).collect();
                let columns = columns.join(", ");
                let name = &plan.name;
                return Err(RunError::Data(format!(
                    "pipeline {name} reads the columns {columns}; name a dataset with --input FILE"
                )));
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
        Ok(ShardReader { order, dataset, rows, batch_rows, repeated: AtomicUsize::new(0) })
    }

    /// Total number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Maximum rows of a micro-batch.
    pub fn batch_rows(&self) -> u64 {
        self.batch_rows
    }

    /// Number of rows so far whose key repeats in their shard. Such rows get the same noise.
    pub fn repeated(&self) -> usize {
        self.repeated.load(Ordering::Relaxed)
    }

    /// Total number of shards.
    pub fn shards(&self) -> u64 {
        self.rows.div_ceil(self.order.shard_rows.max(1))
    }

    /// The dataset, if the pipeline has inputs.
    pub fn dataset(&self) -> Option<&Dataset> {
        self.dataset.as_ref()
    }

    /// Features of the input columns.
    pub fn features(&self) -> Features {
        self.dataset.as_ref().map(|dataset| dataset.features().clone()).unwrap_or_default()
    }

    /// The identity of the input.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn input(&self) -> Result<Input> {
        let content = self.dataset.as_ref().map(Dataset::content).transpose()?;
        Ok(Input { content, rows: self.rows })
    }

    /// Reads these shards as micro-batches. A micro-batch never spans two shards.
    pub fn batches<'r>(
        &'r self,
        shards: impl Iterator<Item = u64> + 'r,
    ) -> impl Iterator<Item = Result<MicroBatch>> + 'r {
        shards.flat_map(move |number| Shard::new(self, number))
    }

    fn range(&self, shard: u64) -> Range<u64> {
        let size = self.order.shard_rows.max(1);
        let start = shard.saturating_mul(size);
        start..start.saturating_add(size).min(self.rows)
    }
}

/// Iterator over the micro-batches of a shard, up to the first error.
struct Shard<'r> {
    reader: &'r ShardReader<'r>,
    number: u64,
    /// Rows that are not read yet.
    left: Range<u64>,
    reads: Option<Embedded>,
    /// Keys of the rows that are read.
    keys: Vec<RowKey>,
}

impl<'r> Shard<'r> {
    fn new(reader: &'r ShardReader<'r>, number: u64) -> Self {
        Shard { reader, number, left: reader.range(number), reads: None, keys: Vec::new() }
    }

    fn batch(&mut self) -> Result<MicroBatch> {
        let _span = tracing::info_span!("read", shard = self.number, row = self.left.start).entered();
        let read = self.reader.dataset.as_ref().map(|dataset| self.read(dataset)).transpose()?;
        let keys = match &read {
            Some(read) => row_keys(&read.rows, self.reader.order.key.as_deref(), self.left.start)?,
            None => self.numbers().map(|row| RowKey::new(format!("#{row}"))).collect(),
        };
        let first_row = self.left.start;
        self.left.start += keys.len() as u64;
        self.count_repeated(&keys);
        let mut batch = MicroBatch {
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
                // Cells with file names get the files' bytes, because the output folder does not hold the files.
                self.reads.insert(dataset.read(None, self.left.clone(), bound)?.embedded(dataset))
            }
        };
        let read = reads.next().transpose()?.filter(|read| read.num_rows() > 0);
        read.ok_or_else(|| {
            RunError::Internal(format!("the input ends before row {}, but its footers promise more", self.left.start))
        })
    }

    fn count_repeated(&mut self, keys: &[RowKey]) {
        self.keys.extend_from_slice(keys);
        if self.left.is_empty() {
            self.reader.repeated.fetch_add(repeated_keys(&self.keys), Ordering::Relaxed);
        }
    }
}

impl Iterator for Shard<'_> {
    type Item = Result<MicroBatch>;

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
