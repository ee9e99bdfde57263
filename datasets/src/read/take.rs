//! Random access to rows.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::SchemaRef;

use super::Dataset;
use super::group::{GroupReader, Piece, Wanted};
use super::part::Part;
use super::projection::Projection;
use super::row_batch::Bound;
use super::size::batch_bytes;
use crate::error::{DatasetError, Result};

/// Rows decoded at once; small, because rows between requested ones are decoded too.
const DECODED_ROWS: usize = 128;

/// Requested rows in the requested order, from [`Dataset::take`].
pub struct TakenRows {
    schema: SchemaRef,
    /// The requested rows in file order.
    pieces: Vec<RecordBatch>,
    /// Piece, row and bytes of each row in the requested order.
    places: VecDeque<Place>,
    bound: Bound,
}

#[derive(Clone, Copy)]
struct Place {
    piece: usize,
    row: usize,
    bytes: u64,
}

pub(super) fn take(dataset: &Dataset, indices: &[usize], rows: &[u64], bound: Bound) -> Result<TakenRows> {
    let mut wanted = rows.to_vec();
    wanted.sort_unstable();
    wanted.dedup();
    if let Some(row) = wanted.last().filter(|row| **row >= dataset.rows()) {
        return Err(DatasetError::internal("taking rows", format!("row {row} of {}", dataset.rows())));
    }
    let schema = dataset.projected_schema(indices);
    let mut pieces = Vec::new();
    for part in dataset.parts().iter().filter(|_| !indices.is_empty()) {
        let projection = Arc::new(Projection::new(part, indices, &schema));
        read_rows(dataset, part, &projection, &wanted, &mut pieces)?;
    }
    let mut found: Vec<Place> = Vec::with_capacity(wanted.len());
    for (piece, batch) in pieces.iter().enumerate() {
        found.extend((0..batch.num_rows()).map(|row| Place { piece, row, bytes: batch_bytes(&batch.slice(row, 1)) }));
    }
    found.resize(wanted.len(), Place { piece: 0, row: 0, bytes: 0 });
    let places = rows.iter().map(|row| found[wanted.partition_point(|other| other < row)]).collect();
    Ok(TakenRows { schema, pieces, places, bound })
}

impl TakenRows {
    /// Schema of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn next_batch(&mut self) -> Result<RecordBatch> {
        let internal = |error| DatasetError::internal("taking rows", error);
        let mut chosen = Vec::new();
        let mut bytes = 0u64;
        while let Some(place) = self.places.front().copied() {
            let full = chosen.len() >= self.bound.rows.max(1) || bytes + place.bytes > self.bound.bytes;
            if full && !chosen.is_empty() {
                break;
            }
            bytes += place.bytes;
            chosen.push((place.piece, place.row));
            self.places.pop_front();
        }
        if self.pieces.is_empty() {
            let count = RecordBatchOptions::new().with_row_count(Some(chosen.len()));
            return RecordBatch::try_new_with_options(self.schema.clone(), Vec::new(), &count).map_err(internal);
        }
        let pieces: Vec<&RecordBatch> = self.pieces.iter().collect();
        interleave_record_batch(&pieces, &chosen).map_err(internal)
    }
}

impl Iterator for TakenRows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.places.is_empty()).then(|| self.next_batch())
    }
}

/// Reads the requested rows of one file. `rows` are sorted, and counted in the dataset.
fn read_rows(
    dataset: &Dataset,
    part: &Part,
    projection: &Arc<Projection>,
    wanted: &[u64],
    pieces: &mut Vec<RecordBatch>,
) -> Result<()> {
    for (group, inside) in part.row_groups().enumerate() {
        let first = part.first_row + inside.start;
        let last = part.first_row + inside.end;
        let from = wanted.partition_point(|row| *row < first);
        let to = wanted.partition_point(|row| *row < last);
        if from == to {
            continue;
        }
        let rows = ranges(wanted[from..to].iter().map(|row| row - first));
        let wanted = Wanted { part: part.clone(), group, projection: projection.clone(), rows, apart: false };
        let bound = Bound::rows(DECODED_ROWS);
        let mut reader = GroupReader::new(wanted, bound, dataset.reading_limit());
        while let Some(piece) = reader.next()? {
            match piece {
                Piece::Rows(rows) => pieces.push(rows),
                Piece::Lost { error, .. } => return Err(error),
            }
        }
    }
    Ok(())
}

/// Groups sorted rows into ranges.
fn ranges(rows: impl Iterator<Item = u64>) -> VecDeque<Range<u64>> {
    let mut ranges: VecDeque<Range<u64>> = VecDeque::new();
    for row in rows {
        match ranges.back_mut().filter(|last| last.end == row) {
            Some(last) => last.end += 1,
            None => ranges.push_back(row..row + 1),
        }
    }
    ranges
}
