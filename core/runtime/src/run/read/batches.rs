//! Micro-batches of the shards of a dataset.

use std::ops::Range;
use std::sync::atomic::Ordering;

use anyflow_datasets::{Dataset, Embedded, RowKey, SelectedBatch, SelectedRows, repeated_keys, row_keys};

use super::super::draws;
use super::super::micro_batch::MicroBatch;
use super::ShardReader;
use crate::{Result, RunError};

/// The maximum number of shards that one pass over the files reads: enough that its start costs nothing.
const SHARDS_PER_PASS: u64 = 256;

/// Micro-batches of several shards.
pub(super) struct Batches<'r, I> {
    reader: &'r ShardReader<'r>,
    shards: I,
    shard: Shard,
    /// A pass over the files continues from shard to shard.
    pass: Option<Pass>,
    /// The rest of the shard, if its rows are not consecutive in the files.
    selected: Option<SelectedRows>,
}

/// The shard that is being read.
struct Shard {
    number: u64,
    /// Places of the rows that are not read yet, among those of the input.
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

impl<'r, I> Batches<'r, I> {
    pub(super) fn new(reader: &'r ShardReader<'r>, shards: I) -> Self {
        let shard = Shard { number: 0, left: 0..0, keys: Vec::new() };
        Batches { reader, shards, shard, pass: None, selected: None }
    }
}

impl<I> Batches<'_, I> {
    fn batch(&mut self) -> Result<MicroBatch> {
        let _span = tracing::info_span!("read", shard = self.shard.number, row = self.shard.left.start).entered();
        let read = self.reader.dataset.as_ref().map(|dataset| self.read(dataset)).transpose()?;
        let mut batch = match read {
            Some(SelectedBatch { numbers, batch }) => {
                let keys = row_keys(&batch.rows, self.reader.order.key.as_deref(), numbers.iter().copied())?;
                MicroBatch::new(numbers, keys, Some(batch))
            }
            None => {
                let numbers: Vec<u64> = self.numbers().collect();
                let keys = numbers.iter().map(|row| RowKey::new(format!("#{row}"))).collect();
                MicroBatch::new(numbers, keys, None)
            }
        };
        self.shard.left.start += batch.numbers.len() as u64;
        batch.shard = self.shard.number;
        batch.ends_shard = self.shard.left.is_empty();
        if self.reader.draws > 1 {
            batch = draws::repeated(batch, self.reader.draws)?;
        }
        self.count_repeated(&batch.keys);
        Ok(batch)
    }

    fn numbers(&self) -> Range<u64> {
        let Range { start, end } = self.shard.left;
        start..start.saturating_add(self.reader.batch_rows).min(end)
    }

    fn read(&mut self, dataset: &Dataset) -> Result<SelectedBatch> {
        match self.reader.rows.as_range() {
            Some(rows) => self.read_on(dataset, rows.start),
            None => self.read_selected(dataset),
        }
    }

    /// The next rows of the files, whose first one is `first`.
    fn read_on(&mut self, dataset: &Dataset, first: u64) -> Result<SelectedBatch> {
        let row = first + self.shard.left.start;
        let mut pass = match self.pass.take().filter(|pass| pass.next_row == row) {
            Some(pass) => pass,
            None => self.begin_pass(dataset, row)?,
        };
        let read =
            pass.batches.next().transpose()?.filter(|read| read.num_rows() > 0).ok_or_else(|| ends_early(row))?;
        pass.next_row += read.num_rows() as u64;
        let numbers = (row..pass.next_row).collect();
        self.pass = Some(pass).filter(|pass| pass.next_row < pass.end);
        Ok(SelectedBatch { numbers, batch: read })
    }

    /// The next rows of the shard, which lie anywhere in the files.
    fn read_selected(&mut self, dataset: &Dataset) -> Result<SelectedBatch> {
        let columns = self.reader.columns_to_read();
        let mut rows = match self.selected.take() {
            Some(rows) => rows,
            None => {
                let rows = self.reader.rows.slice(self.shard.left.clone());
                dataset.read_set(columns.as_deref(), &rows, self.reader.bound())?
            }
        };
        let read = rows.next().transpose()?.ok_or_else(|| ends_early(self.shard.left.start))?;
        let left = self.shard.left.end - self.shard.left.start;
        self.selected = Some(rows).filter(|_| left > read.numbers.len() as u64);
        Ok(read)
    }

    /// A pass over this shard and those after it, from a row of the files on.
    fn begin_pass(&self, dataset: &Dataset, start: u64) -> Result<Pass> {
        let shard_rows = self.reader.shard_rows();
        let left = self.reader.rows.len() - self.shard.left.start;
        let end = start + shard_rows.saturating_mul(SHARDS_PER_PASS).min(left);
        let columns = self.reader.columns_to_read();
        // Cells with file names get the files' bytes, because the output folder does not hold the files.
        let batches =
            dataset.read_sections(columns.as_deref(), start..end, shard_rows, self.reader.bound())?.embedded(dataset);
        Ok(Pass { batches, next_row: start, end })
    }

    fn count_repeated(&mut self, keys: &[RowKey]) {
        self.shard.keys.extend_from_slice(keys);
        if self.shard.left.is_empty() {
            self.reader.repeated.fetch_add(repeated_keys(&self.shard.keys), Ordering::Relaxed);
        }
    }
}

impl<I: Iterator<Item = Result<u64>>> Iterator for Batches<'_, I> {
    type Item = Result<MicroBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.shard.left.is_empty() {
            let number = match self.shards.next()? {
                Ok(number) => number,
                Err(error) => return Some(Err(error)),
            };
            self.shard = Shard { number, left: self.reader.range(number), keys: Vec::new() };
            self.selected = None;
        }
        let batch = self.batch();
        if batch.is_err() {
            self.shard.left.start = self.shard.left.end;
        }
        Some(batch)
    }
}

fn ends_early(row: u64) -> RunError {
    RunError::Internal(format!("the input ends before row {row}, but its footers promise more"))
}
