//! The stream of batches over a range of rows.

use std::collections::VecDeque;
use std::ops::Range;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::Dataset;
use super::guard::guarded;
use super::part::{Part, conform};
use crate::error::{DatasetError, Result};

/// Batches of a range of rows, from [`Dataset::read`]. Owns what it needs, so it can move to a reader thread.
pub struct Batches {
    waiting: VecDeque<(Part, Range<u64>)>,
    current: Option<PartReader>,
    /// Rows read but too few for a batch: only where files meet.
    pending: Vec<RecordBatch>,
    pending_rows: usize,
    indices: Vec<usize>,
    schema: SchemaRef,
    batch_rows: usize,
}

/// A file being read.
pub(super) struct PartReader {
    part: Part,
    reader: ParquetRecordBatchReader,
    /// Next row, counted within the file.
    row: u64,
}

impl Batches {
    pub(super) fn new(dataset: &Dataset, indices: Vec<usize>, rows: Range<u64>, batch_rows: usize) -> Batches {
        let local = |part: &Part| {
            let inside = part.row_range();
            let (start, end) = (rows.start.max(inside.start), rows.end.min(inside.end));
            (start < end).then(|| (part.clone(), start - inside.start..end - inside.start))
        };
        let waiting = dataset.parts().iter().filter_map(local).collect();
        let schema = dataset.projected_schema(&indices);
        Batches { waiting, current: None, pending: Vec::new(), pending_rows: 0, indices, schema, batch_rows }
    }

    /// Schema of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        while self.pending_rows < self.batch_rows {
            match self.next_piece()? {
                Some(piece) => {
                    self.pending_rows += piece.num_rows();
                    self.pending.push(piece);
                }
                None => break,
            }
        }
        if self.pending.is_empty() { Ok(None) } else { self.cut().map(Some) }
    }

    /// The first `batch_rows` of what is pending.
    fn cut(&mut self) -> Result<RecordBatch> {
        let all = match self.pending.as_slice() {
            [one] => one.clone(),
            several => concat_batches(&self.schema, several)
                .map_err(|error| DatasetError::internal("joining batches of several files", error))?,
        };
        let rows = self.batch_rows.min(all.num_rows());
        let rest = all.num_rows() - rows;
        self.pending.clear();
        self.pending_rows = rest;
        if rest > 0 {
            self.pending.push(all.slice(rows, rest));
        }
        Ok(all.slice(0, rows))
    }

    fn next_piece(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.current.is_none() {
                let Some((part, rows)) = self.waiting.pop_front() else { return Ok(None) };
                self.current = Some(PartReader::of_range(part, &self.indices, rows, self.batch_rows)?);
            }
            let piece = self.current.as_mut().map(PartReader::next).transpose()?.flatten();
            match piece {
                Some(piece) => return self.in_order(&piece).map(Some),
                None => self.current = None,
            }
        }
    }

    fn in_order(&self, piece: &RecordBatch) -> Result<RecordBatch> {
        conform(piece, &positions(&self.indices), &self.schema)
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_batch();
        if next.is_err() {
            self.waiting.clear();
            self.current = None;
            self.pending.clear();
            self.pending_rows = 0;
        }
        next.transpose()
    }
}

impl PartReader {
    fn of_range(part: Part, indices: &[usize], rows: Range<u64>, batch_rows: usize) -> Result<PartReader> {
        let touched: Vec<(usize, Range<u64>)> = part
            .row_groups()
            .enumerate()
            .filter(|(_, group)| group.start < rows.end && rows.start < group.end)
            .collect();
        let skipped = touched.first().map_or(0, |(_, group)| group.start);
        let groups = touched.into_iter().map(|(index, _)| index).collect();
        let (offset, limit) = ((rows.start - skipped) as usize, (rows.end - rows.start) as usize);
        PartReader::build(part, indices, rows.start, |builder| {
            builder.with_row_groups(groups).with_offset(offset).with_limit(limit).with_batch_size(batch_rows)
        })
    }

    /// A reader of the given columns, further narrowed by `narrow`; `row` is its first row within the file.
    pub(super) fn build(
        part: Part,
        indices: &[usize],
        row: u64,
        narrow: impl FnOnce(
            ParquetRecordBatchReaderBuilder<std::fs::File>,
        ) -> ParquetRecordBatchReaderBuilder<std::fs::File>,
    ) -> Result<PartReader> {
        let file = part.source.open()?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, part.metadata.clone());
        let columns = ProjectionMask::roots(builder.parquet_schema(), indices.iter().copied());
        let reader =
            guarded(|| narrow(builder.with_projection(columns)).build()).map_err(|error| corrupt(&part, row, error))?;
        Ok(PartReader { part, reader, row })
    }

    /// The next batch, columns in file order.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>> {
        let next = guarded(|| self.reader.next().transpose()).map_err(|error| corrupt(&self.part, self.row, error))?;
        self.row += next.as_ref().map_or(0, |batch| batch.num_rows() as u64);
        Ok(next)
    }
}

/// Where each wanted column lies in a projected batch, whose columns keep the file's order without repeats.
pub(super) fn positions(indices: &[usize]) -> Vec<usize> {
    let mut sorted = indices.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    indices.iter().map(|index| sorted.partition_point(|other| other < index)).collect()
}

fn corrupt(part: &Part, row: u64, reason: String) -> DatasetError {
    DatasetError::Corrupt { path: part.source.path.clone(), row, reason }
}
