//! Reads a set of rows: what lies between them is passed over.

use std::collections::VecDeque;
use std::ops::Range;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};

use super::Dataset;
use super::batches::Batches;
use super::embed;
use super::row_batch::{Bound, RowBatch, UnreadableRow};
use super::size::batch_bytes;
use crate::error::{DatasetError, Result};
use crate::row_set::RowSet;

/// Gaps of so many rows are decoded and dropped: to begin anew costs more.
const SHORT_GAP: u64 = 1024;

/// Rows of a [`RowSet`] in batches within a bound, from [`Dataset::read_set`]. Media cells hold their bytes.
pub struct SelectedRows {
    dataset: Dataset,
    columns: Vec<usize>,
    /// Runs of rows near one another.
    spans: VecDeque<Vec<Range<u64>>>,
    current: Option<Span>,
    bound: Bound,
    /// Rows that were read, but did not fit into the last batch.
    ahead: VecDeque<SelectedBatch>,
    /// Parts of a batch that was split because its files exceed the bound together.
    ready: VecDeque<SelectedBatch>,
}

/// The reader of all rows from the first run to the last.
struct Span {
    runs: Vec<Range<u64>>,
    batches: Batches,
}

/// Rows with their numbers.
#[derive(Clone, Debug)]
pub struct SelectedBatch {
    /// The number of each row in the dataset.
    pub numbers: Vec<u64>,
    /// The rows, with their unreadable ones.
    pub batch: RowBatch,
}

impl SelectedRows {
    pub(super) fn new(dataset: &Dataset, columns: Vec<usize>, rows: &RowSet, bound: Bound) -> SelectedRows {
        let mut spans: VecDeque<Vec<Range<u64>>> = VecDeque::new();
        for run in rows.runs() {
            let end = spans.back().and_then(|span| span.last()).map(|last| last.end);
            match (spans.back_mut(), end) {
                (Some(span), Some(end)) if run.start - end <= SHORT_GAP => span.push(run),
                _ => spans.push_back(vec![run]),
            }
        }
        SelectedRows {
            dataset: dataset.clone(),
            columns,
            spans,
            current: None,
            bound: Bound { rows: bound.rows.max(1), bytes: bound.bytes.max(1) },
            ahead: VecDeque::new(),
            ready: VecDeque::new(),
        }
    }

    fn next_batch(&mut self) -> Result<Option<SelectedBatch>> {
        if self.ready.is_empty() {
            let Some(gathered) = self.gather()? else { return Ok(None) };
            let SelectedBatch { numbers, batch } = gathered;
            for part in embed::split(&self.dataset, batch, self.bound.bytes)? {
                // The parts count their rows from the first one of the batch.
                let start = part.first_row as usize;
                let numbers = numbers[start..start + part.num_rows()].to_vec();
                self.ready.push_back(SelectedBatch { numbers, batch: part });
            }
        }
        let Some(SelectedBatch { numbers, batch }) = self.ready.pop_front() else { return Ok(None) };
        Ok(Some(SelectedBatch { numbers, batch: embed::embed(&self.dataset, batch)? }))
    }

    /// As many rows as the bound allows, at least one; the files that they name do not count yet.
    fn gather(&mut self) -> Result<Option<SelectedBatch>> {
        let mut parts: Vec<RecordBatch> = Vec::new();
        let mut numbers: Vec<u64> = Vec::new();
        let mut unreadable = Vec::new();
        let mut bytes = 0;
        while numbers.len() < self.bound.rows {
            let waiting = self.ahead.pop_front();
            let Some(mut next) = waiting.map_or_else(|| self.next_selected(), |batch| Ok(Some(batch)))? else { break };
            let room = self.bound.rows - numbers.len();
            if next.numbers.len() > room {
                let rest = next.split_off(room);
                self.ahead.push_front(rest);
            }
            let more = batch_bytes(&next.batch.rows);
            if !numbers.is_empty() && bytes + more > self.bound.bytes {
                self.ahead.push_front(next);
                break;
            }
            bytes += more;
            let first = numbers.len();
            unreadable
                .extend(next.batch.unreadable.into_iter().map(|bad| UnreadableRow { row: bad.row + first, ..bad }));
            numbers.extend(next.numbers);
            parts.push(next.batch.rows);
        }
        let Some(first) = parts.first() else { return Ok(None) };
        let rows = concat_batches(&first.schema(), &parts).map_err(internal)?;
        Ok(Some(SelectedBatch { numbers, batch: RowBatch { first_row: 0, rows, unreadable } }))
    }

    /// The rows of the set in the next batch that has some.
    fn next_selected(&mut self) -> Result<Option<SelectedBatch>> {
        loop {
            let span = match &mut self.current {
                Some(span) => span,
                None => {
                    let Some(runs) = self.spans.pop_front() else { return Ok(None) };
                    let rows = runs[0].start..runs[runs.len() - 1].end;
                    let batches = Batches::new(&self.dataset, &self.columns, rows, u64::MAX, self.bound);
                    self.current.insert(Span { runs, batches })
                }
            };
            match span.batches.next().transpose()? {
                None => self.current = None,
                Some(batch) => {
                    let selected = chosen(batch, &span.runs)?;
                    if !selected.numbers.is_empty() {
                        return Ok(Some(selected));
                    }
                }
            }
        }
    }
}

impl Iterator for SelectedRows {
    type Item = Result<SelectedBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}

impl SelectedBatch {
    /// Cuts off the rows from `at` on.
    fn split_off(&mut self, at: usize) -> SelectedBatch {
        let count = self.numbers.len();
        let rest = SelectedBatch { numbers: self.numbers.split_off(at), batch: self.batch.slice(at, count - at) };
        self.batch = self.batch.slice(0, at);
        rest
    }
}

/// The rows of a batch that are in one of the runs.
fn chosen(batch: RowBatch, runs: &[Range<u64>]) -> Result<SelectedBatch> {
    let rows = batch.first_row..batch.first_row + batch.num_rows() as u64;
    let mut places: Vec<Option<usize>> = vec![None; batch.num_rows()];
    let mut numbers = Vec::new();
    let first = runs.partition_point(|run| run.end <= rows.start);
    for run in runs[first..].iter().take_while(|run| run.start < rows.end) {
        for row in run.start.max(rows.start)..run.end.min(rows.end) {
            places[(row - rows.start) as usize] = Some(numbers.len());
            numbers.push(row);
        }
    }
    let mask: BooleanArray = places.iter().map(|place| Some(place.is_some())).collect();
    let kept = |bad: UnreadableRow| places[bad.row].map(|row| UnreadableRow { row, ..bad });
    let unreadable = batch.unreadable.into_iter().filter_map(kept).collect();
    let rows = filter_record_batch(&batch.rows, &mask).map_err(internal)?;
    Ok(SelectedBatch { numbers, batch: RowBatch { first_row: 0, rows, unreadable } })
}

fn internal(error: arrow::error::ArrowError) -> DatasetError {
    DatasetError::internal("reading selected rows", error)
}
