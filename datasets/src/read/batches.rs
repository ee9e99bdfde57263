//! The stream of batches over a range of rows.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;

use super::Dataset;
use super::group::{GroupReader, Piece, Wanted, batch_rows};
use super::part::Part;
use super::projection::Projection;
use super::row_batch::{Bound, RowBatch, UnreadableRow};
use super::size::{batch_bytes, fixed_bytes};
use crate::error::{DatasetError, Result};

/// Batches of a range of rows, from [`Dataset::read`]. Owns what it needs, so it can move to a reader thread.
///
/// The boundaries of batches depend only on the files and the range. An unreadable row is null in its batch, and
/// listed. The stream ends early only for errors that are not those of a row, such as a missing file.
pub struct Batches {
    source: Pieces,
    bound: Bound,
    schema: SchemaRef,
    /// Rows that were read, but did not fit into the last batch, in order.
    ahead: VecDeque<Run>,
    row: u64,
    /// Rows until the end of the section.
    section_left: u64,
    section_rows: u64,
    /// Bytes of an unreadable row.
    null_bytes: u64,
}

/// Consecutive rows.
enum Run {
    Rows(RecordBatch),
    Lost { rows: u64, code: &'static str, reason: String },
}

/// The row groups of a range, one after another.
struct Pieces {
    waiting: VecDeque<Wanted>,
    current: Option<GroupReader>,
    bound: Bound,
    limit: u64,
}

impl Batches {
    /// No batch holds rows of two sections of `section_rows`, counted from the first row of `rows`.
    pub(super) fn new(
        dataset: &Dataset,
        indices: &[usize],
        rows: Range<u64>,
        section_rows: u64,
        bound: Bound,
    ) -> Batches {
        let bound = Bound { rows: bound.rows.max(1), bytes: bound.bytes.max(1) };
        let schema = dataset.projected_schema(indices);
        let row = rows.start;
        let projection = |part: &Part| Arc::new(Projection::new(part, indices, &schema));
        let waiting = wanted(dataset, rows, section_rows, projection);
        let source = Pieces { waiting, current: None, bound, limit: dataset.reading_limit() };
        let null_bytes = schema.fields().iter().map(|field| fixed_bytes(field.data_type()));
        let null_bytes = null_bytes.fold(1, u64::saturating_add);
        let ahead = VecDeque::new();
        Batches { source, bound, schema, ahead, row, section_left: section_rows, section_rows, null_bytes }
    }

    /// Schema of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The bound of a batch.
    pub fn bound(&self) -> Bound {
        self.bound
    }

    fn next_batch(&mut self) -> Result<Option<RowBatch>> {
        let mut parts = Vec::new();
        let mut unreadable = Vec::new();
        let mut rows = 0;
        let mut bytes = 0;
        let most = self.bound.rows.min(usize::try_from(self.section_left).unwrap_or(usize::MAX));
        while rows < most {
            let Some(run) = self.next_run()? else { break };
            match run {
                Run::Rows(batch) => {
                    // A row that exceeds the bound forms its own batch.
                    let fitting = fitting(&batch, most - rows, self.bound.bytes - bytes);
                    let keep = if rows == 0 { fitting.max(1) } else { fitting };
                    if keep < batch.num_rows() {
                        self.ahead.push_front(Run::Rows(batch.slice(keep, batch.num_rows() - keep)));
                    }
                    if keep == 0 {
                        break;
                    }
                    let part = batch.slice(0, keep);
                    bytes = bytes.saturating_add(batch_bytes(&part)).min(self.bound.bytes);
                    rows += keep;
                    parts.push(part);
                }
                Run::Lost { rows: lost, code, reason } => {
                    // Values of fixed size take memory even if they are null.
                    let fitting = usize::try_from((self.bound.bytes - bytes) / self.null_bytes).unwrap_or(usize::MAX);
                    let keep = if rows == 0 { fitting.max(1) } else { fitting };
                    let count = usize::try_from(lost).unwrap_or(usize::MAX).min(most - rows).min(keep);
                    if count == 0 {
                        self.ahead.push_front(Run::Lost { rows: lost, code, reason });
                        break;
                    }
                    bytes = bytes.saturating_add(self.null_bytes * count as u64).min(self.bound.bytes);
                    let places = rows..rows + count;
                    unreadable.extend(places.map(|row| UnreadableRow { row, code, reason: reason.clone() }));
                    parts.push(nulls(&self.schema, count)?);
                    rows += count;
                    if lost > count as u64 {
                        self.ahead.push_front(Run::Lost { rows: lost - count as u64, code, reason });
                    }
                }
            }
        }
        let whole = match parts.as_slice() {
            [] => return Ok(None),
            [one] => one.clone(),
            several => concat_batches(&self.schema, several)
                .map_err(|error| DatasetError::internal("joining batches of several row groups", error))?,
        };
        let first_row = self.row;
        self.row += rows as u64;
        self.section_left -= rows as u64;
        if self.section_left == 0 {
            self.section_left = self.section_rows;
        }
        Ok(Some(RowBatch { first_row, rows: whole, unreadable }))
    }

    fn next_run(&mut self) -> Result<Option<Run>> {
        match self.ahead.pop_front() {
            Some(run) => Ok(Some(run)),
            None => self.source.next(),
        }
    }
}

impl Iterator for Batches {
    type Item = Result<RowBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_batch();
        if next.is_err() {
            self.source.waiting.clear();
            self.source.current = None;
            self.ahead.clear();
        }
        next.transpose()
    }
}

impl Pieces {
    fn next(&mut self) -> Result<Option<Run>> {
        loop {
            let current = match &mut self.current {
                Some(current) => current,
                None => {
                    let Some(wanted) = self.next_wanted() else { return Ok(None) };
                    self.current.insert(GroupReader::new(wanted, self.bound, self.limit))
                }
            };
            match current.next()? {
                Some(Piece::Rows(rows)) => return Ok(Some(Run::Rows(rows))),
                Some(Piece::Lost { rows, error }) => {
                    return Ok(Some(Run::Lost { rows, code: error.code(), reason: error.to_string() }));
                }
                None => self.current = None,
            }
        }
    }

    /// The next row group, up to the first section that ends within a batch of the decoder: one decoder goes on from
    /// section to section only where it gives the batches that one of its own would.
    fn next_wanted(&mut self) -> Option<Wanted> {
        let mut wanted = self.waiting.pop_front()?;
        let most = batch_rows(&wanted, self.bound) as u64;
        let ends_within = |rows: &Range<u64>| !(rows.end - rows.start).is_multiple_of(most);
        let count = wanted.rows.iter().position(ends_within).map_or(wanted.rows.len(), |index| index + 1);
        let rest = wanted.rows.split_off(count);
        if !rest.is_empty() {
            self.waiting.push_front(Wanted { rows: rest, ..wanted.clone() });
        }
        Some(wanted)
    }
}

/// The number of rows from the front of a batch that stay within both bounds.
fn fitting(batch: &RecordBatch, rows: usize, bytes: u64) -> usize {
    let most = batch.num_rows().min(rows);
    if batch_bytes(&batch.slice(0, most)) <= bytes {
        return most;
    }
    let mut fits = 0;
    let mut passes = most;
    while fits + 1 < passes {
        let middle = fits.midpoint(passes);
        if batch_bytes(&batch.slice(0, middle)) <= bytes { fits = middle } else { passes = middle }
    }
    fits
}

/// The row groups that a range touches, cut into its sections.
fn wanted(
    dataset: &Dataset,
    rows: Range<u64>,
    section_rows: u64,
    projection: impl Fn(&Part) -> Arc<Projection>,
) -> VecDeque<Wanted> {
    let groups = dataset.parts().iter().flat_map(|part| {
        let projection = projection(part);
        part.row_groups().enumerate().map(move |(group, inside)| (part, group, projection.clone(), inside))
    });
    let touched = groups.filter_map(|(part, group, projection, inside)| {
        let first = part.first_row + inside.start;
        let last = part.first_row + inside.end;
        let start = rows.start.max(first);
        let end = rows.end.min(last);
        let sections = || sections(start..end, rows.start, section_rows);
        let within = |section: Range<u64>| section.start - first..section.end - first;
        let rows = || sections().map(within).collect();
        (start < end).then(|| Wanted { part: part.clone(), group, projection, rows: rows(), apart: true })
    });
    touched.collect()
}

/// `rows` cut into sections of so many rows, counted from `origin`.
fn sections(rows: Range<u64>, origin: u64, section_rows: u64) -> impl Iterator<Item = Range<u64>> {
    let mut start = rows.start;
    std::iter::from_fn(move || {
        let left = section_rows - (start - origin) % section_rows;
        let section = start..rows.end.min(start.saturating_add(left));
        start = section.end;
        (!section.is_empty()).then_some(section)
    })
}

/// A batch of unreadable rows: all null.
fn nulls(schema: &SchemaRef, rows: usize) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = schema.fields().iter().map(|field| new_null_array(field.data_type(), rows)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
        .map_err(|error| DatasetError::internal("marking rows as unreadable", error))
}
