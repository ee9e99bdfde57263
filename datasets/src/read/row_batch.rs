//! What reading gives, and how much of it at once.

use std::ops::Deref;

use arrow::array::RecordBatch;

/// How much a batch may hold. A single row may be larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Rows.
    pub rows: usize,
    /// Bytes of all values together.
    pub bytes: u64,
}

impl Bound {
    /// Bytes of a batch where nothing speaks for another number.
    pub const BYTES: u64 = 64 << 20;

    /// At most so many rows, and [`Bound::BYTES`].
    pub const fn rows(rows: usize) -> Bound {
        Bound { rows, bytes: Bound::BYTES }
    }
}

impl From<usize> for Bound {
    fn from(rows: usize) -> Bound {
        Bound::rows(rows)
    }
}

/// Consecutive rows of a dataset; all that Arrow offers for [`RowBatch::rows`] is at hand.
#[derive(Clone, Debug)]
pub struct RowBatch {
    /// Number of the first row in the whole dataset.
    pub first_row: u64,
    /// The rows. One that cannot be read is null in every column that could not.
    pub rows: RecordBatch,
    /// Rows that cannot be read, in order, each once.
    pub unreadable: Vec<Unreadable>,
}

/// Why a row cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Row within the batch, from 0.
    pub row: usize,
    /// Short stable word, as [`DatasetError::code`](crate::DatasetError::code) gives it.
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
    /// A part of it, sharing the values.
    pub fn slice(&self, start: usize, length: usize) -> RowBatch {
        let inside = self.unreadable.iter().filter(|bad| (start..start + length).contains(&bad.row));
        RowBatch {
            first_row: self.first_row + start as u64,
            rows: self.rows.slice(start, length),
            unreadable: inside.map(|bad| Unreadable { row: bad.row - start, ..bad.clone() }).collect(),
        }
    }
}
