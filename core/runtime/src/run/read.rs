//! The first stage: rows from Parquet, cut into micro-batches.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyflow_datasets::{Bound, DEFAULT_KEY, Dataset, Embedded, Features, RowBatch, RowKey, repeated_keys, row_keys};
use anyflow_plan::order::Order;
use anyflow_plan::plan::RunPlan;

use super::cut;
use super::micro_batch::MicroBatch;
use crate::identity::InputRows;
use crate::{Result, RunError};

/// Reads shards from a dataset. A pipeline without inputs gets rows that only have an index.
pub struct ShardReader<'a> {
    order: &'a Order,
    dataset: Option<Dataset>,
    rows: u64,
    /// The columns to read; `None` for all.
    columns: Option<Vec<String>>,
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
        let columns = dataset.as_ref().map(|dataset| columns(plan, order, dataset)).transpose()?.flatten();
        Ok(ShardReader { order, dataset, rows, columns, batch_rows, repeated: AtomicUsize::new(0) })
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

    /// The columns to read; `None` for all.
    pub fn columns(&self) -> Option<&[String]> {
        self.columns.as_deref()
    }

    /// Features of the input columns.
    pub fn features(&self) -> Features {
        self.dataset.as_ref().map(|dataset| dataset.features().clone()).unwrap_or_default()
    }

    /// The identity of the input.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn input(&self) -> Result<InputRows> {
        let content = self.dataset.as_ref().map(Dataset::content).transpose()?;
        Ok(InputRows { content, rows: self.rows })
    }

    /// Checks that the files that cells link to have not changed since [`ShardReader::input`].
    ///
    /// # Errors
    /// [`DatasetError::LinkedChanged`](anyflow_datasets::DatasetError::LinkedChanged).
    pub fn check_linked(&self, input: &InputRows) -> Result<()> {
        match (&self.dataset, &input.content) {
            (Some(dataset), Some(content)) => Ok(dataset.check_linked(content)?),
            _ => Ok(()),
        }
    }

    /// Reads these shards as micro-batches. A micro-batch never spans two shards.
    pub fn batches<'r>(
        &'r self,
        shards: impl Iterator<Item = u64> + 'r,
    ) -> impl Iterator<Item = Result<MicroBatch>> + 'r {
        Batches { reader: self, shards, shard: Shard { number: 0, left: 0..0, keys: Vec::new() }, pass: None }
    }

    fn range(&self, shard: u64) -> Range<u64> {
        let size = self.order.shard_rows.max(1);
        let start = shard.saturating_mul(size);
        start..start.saturating_add(size).min(self.rows)
    }
}

/// The columns to read: those that the pipeline reads, the row key, and those that `--keep` names; `None` for all.
fn columns(plan: &RunPlan, order: &Order, dataset: &Dataset) -> Result<Option<Vec<String>>> {
    let Some(keep) = &order.keep else { return Ok(None) };
    keep.iter().try_for_each(|name| dataset.column(name).map(drop))?;
    let key = order.key.as_deref().unwrap_or(DEFAULT_KEY);
    let is_read = |name: &&String| {
        keep.contains(*name) || *name == key || plan.inputs.values().any(|input| input.column == **name)
    };
    Ok(Some(dataset.features().keys().filter(is_read).cloned().collect()))
}

/// The maximum number of shards that one pass over the files reads: enough that its start costs nothing.
const SHARDS_PER_PASS: u64 = 256;

/// Micro-batches of several shards.
struct Batches<'r, I> {
    reader: &'r ShardReader<'r>,
    shards: I,
    shard: Shard,
    /// A pass over the files continues from shard to shard.
    pass: Option<Pass>,
}

/// The shard that is being read.
struct Shard {
    number: u64,
    /// Rows that are not read yet.
    left: Range<u64>,
    /// Keys of the rows that are read.
    keys: Vec<RowKey>,
}

/// Consecutive rows of the files.
struct Pass {
    batches: Embedded,
    next_row: u64,
    end: u64,
}

impl<I> Batches<'_, I> {
    fn batch(&mut self) -> Result<MicroBatch> {
        let _span = tracing::info_span!("read", shard = self.shard.number, row = self.shard.left.start).entered();
        let read = self.reader.dataset.as_ref().map(|dataset| self.read(dataset)).transpose()?;
        let first_row = self.shard.left.start;
        let keys = match &read {
            Some(read) => row_keys(&read.rows, self.reader.order.key.as_deref(), first_row)?,
            None => self.numbers().map(|row| RowKey::new(format!("#{row}"))).collect(),
        };
        self.shard.left.start += keys.len() as u64;
        self.count_repeated(&keys);
        let (shard, ends_shard) = (self.shard.number, self.shard.left.is_empty());
        Ok(MicroBatch { shard, ends_shard, ..MicroBatch::new(first_row, keys, read) })
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
        let read = read.ok_or_else(|| {
            RunError::Internal(format!("the input ends before row {row}, but its footers promise more"))
        })?;
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
        // Cells with file names get the files' bytes, because the output folder does not hold the files.
        let columns = self.reader.columns.as_ref().map(|names| names.iter().map(String::as_str).collect::<Vec<_>>());
        let batches = dataset.read_sections(columns.as_deref(), start..end, shard_rows, bound)?.embedded(dataset);
        Ok(Pass { batches, next_row: start, end })
    }

    fn count_repeated(&mut self, keys: &[RowKey]) {
        self.shard.keys.extend_from_slice(keys);
        if self.shard.left.is_empty() {
            self.reader.repeated.fetch_add(repeated_keys(&self.shard.keys), Ordering::Relaxed);
        }
    }
}

impl<I: Iterator<Item = u64>> Iterator for Batches<'_, I> {
    type Item = Result<MicroBatch>;

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
