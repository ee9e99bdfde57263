//! Batches of rows, and their bounds.

use std::ops::Deref;

use arrow::array::RecordBatch;

/// The bound of a batch. A single row may exceed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Rows.
    pub rows: usize,
    /// Bytes of all values together.
    pub bytes: u64,
}

impl Bound {
    /// The default number of bytes of a batch.
    pub const BYTES: u64 = 64 << 20;

    /// At most `rows` rows and [`Bound::BYTES`].
    pub const fn rows(rows: usize) -> Bound {
        Bound { rows, bytes: Bound::BYTES }
    }
}

impl From<usize> for Bound {
    fn from(rows: usize) -> Bound {
        Bound::rows(rows)
    }
}

/// Consecutive rows of a dataset. [`RowBatch::rows`] is a plain Arrow batch.
#[derive(Clone, Debug)]
pub struct RowBatch {
    /// Index of the first row in the whole dataset.
    pub first_row: u64,
    /// The rows. An unreadable row is null in its unreadable columns.
    pub rows: RecordBatch,
    /// Unreadable rows, in order, each once.
    pub unreadable: Vec<UnreadableRow>,
}

/// An unreadable row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableRow {
    /// Row within the batch, from 0.
    pub row: usize,
    /// Short stable code; see [`DatasetError::code`](crate::DatasetError::code).
    pub code: &'static str,
    /// What is wrong, and what to do.
    pub reason: String,
}

impl Deref for RowBatch {
    type Target = RecordBatch;

    fn deref(&self) -> &RecordBatch {
        &self.rows
    }
}

impl RowBatch {
    /// A part of the batch, which shares the values.
    pub fn slice(&self, start: usize, length: usize) -> RowBatch {
        let inside = self.unreadable.iter().filter(|bad| (start..start + length).contains(&bad.row));
        RowBatch {
            first_row: self.first_row + start as u64,
            rows: self.rows.slice(start, length),
            unreadable: inside.map(|bad| UnreadableRow { row: bad.row - start, ..bad.clone() }).collect(),
        }
    }
}
