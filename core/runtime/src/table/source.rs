//! Reads one source of a table.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyflow_datasets::{Cell, CellColumn, Dataset};
use anyflow_plan::plan::{ColumnRef, Table};
use arrow::array::RecordBatch;
use indexmap::{IndexMap, IndexSet};
use tch::Tensor;

use super::source_array::SourceArray;
use super::{Incomplete, TableReading};
use crate::Result;

/// Rows per read of a source.
const READ_ROWS: usize = 1024;

/// The rows of one source; `A` holds the rows of an array.
pub struct SourceRows<A> {
    /// Number of readable rows.
    pub rows: usize,
    /// Arrays of streams and prompts.
    pub arrays: IndexMap<String, A>,
    /// Arrays that some rows lack: true for each row without one. The arrays of these rows are zero.
    pub missing: IndexMap<String, Vec<bool>>,
    /// Value of the join column of each row.
    pub join: Vec<String>,
    /// Class of each row, if it has one.
    pub class: Vec<Option<i64>>,
}

/// Reads one source of a table.
pub struct SourceReader<'a> {
    /// The source.
    pub name: &'a str,
    /// The table.
    pub table: &'a Table,
    /// Files, codecs and events.
    pub reading: &'a TableReading<'a>,
}

/// One batch of a source.
#[derive(Default)]
pub struct Piece {
    /// Arrays `[row, axes]` in host memory.
    pub arrays: IndexMap<String, Tensor>,
    /// True for each row that lacks an array.
    pub missing: IndexMap<String, Vec<bool>>,
    /// Value of the join column of each row.
    pub join: Vec<String>,
    /// Class of each row, if it has one.
    pub class: Vec<Option<i64>>,
    /// Rows that are left out.
    bad: BTreeSet<usize>,
    /// The reason for the first bad row.
    reason: Option<String>,
}

impl SourceReader<'_> {
    /// The arrays that this source makes of its columns.
    pub fn arrays(&self) -> Vec<SourceArray<'_>> {
        let columns = self.table.columns.iter().filter(|(_, column)| column.source == self.name);
        columns.flat_map(|(stream, column)| SourceArray::of(stream, column, self.reading)).collect()
    }

    /// The class column, if this source has it.
    pub fn class(&self) -> Option<&ColumnRef> {
        self.table.class.as_ref().filter(|class| class.source == self.name)
    }

    /// Reads all rows, and hands them over piece by piece. Rows that cannot be read are left out and counted in a note.
    ///
    /// # Errors
    /// Errors of the dataset and of `take`; a codec failed as a whole.
    pub fn read(&self, mut take: impl FnMut(Piece) -> Result<()>) -> Result<()> {
        let paths: Vec<PathBuf> = self.reading.files[self.name].iter().map(PathBuf::from).collect();
        let arrays = self.arrays();
        let read = arrays.iter().map(|array| (array.column.column.as_str(), array.reader.feature()));
        let dataset = Dataset::open(&paths)?.with_files(read);
        let mut columns: IndexSet<&str> =
            arrays.iter().map(|array| array.column).chain(self.class()).map(|c| c.column.as_str()).collect();
        columns.extend(self.table.join.as_deref());
        let columns: Vec<&str> = columns.into_iter().collect();
        let events = self.reading.events;
        let part = format!("{}: {}", self.reading.part, self.name);
        events.begin(&part, Some(dataset.rows()), "rows", 0);
        let mut done = 0u64;
        let mut failed = 0usize;
        let mut reason = None;
        for batch in dataset.read(Some(&columns), 0..dataset.rows(), READ_ROWS)? {
            let batch = batch?;
            let mut piece = self.piece(&arrays, &dataset, &batch)?;
            if let Some(bad) = batch.unreadable.first() {
                piece.reason.get_or_insert_with(|| bad.reason.clone());
            }
            piece.bad.extend(batch.unreadable.iter().map(|bad| bad.row));
            failed += piece.bad.len();
            reason = reason.or(piece.reason.take());
            take(without_bad(piece, batch.num_rows())?)?;
            done += batch.num_rows() as u64;
            events.progress(&part, done, serde_json::Map::new());
        }
        events.end(&part, serde_json::Map::new());
        if let Some(reason) = reason {
            events.note(format!("{part}: {failed} of {done} rows are left out; the first reason: {reason}"));
        }
        Ok(())
    }

    fn piece(&self, arrays: &[SourceArray<'_>], dataset: &Dataset, batch: &RecordBatch) -> Result<Piece> {
        let mut piece = Piece::default();
        for SourceArray { name, column, reader } in arrays {
            let cells = dataset.cells(batch, &column.column)?;
            let (array, failed) = reader.read(cells, self.reading.threads)?;
            let mut missing = vec![false; batch.num_rows()];
            for cell in failed {
                if cell.is_null && self.reading.incomplete == Incomplete::Keep {
                    missing[cell.row] = true;
                    continue;
                }
                piece.reason.get_or_insert_with(|| format!("column {}: {}", column.column, cell.text));
                piece.bad.insert(cell.row);
            }
            piece.arrays.insert(name.clone(), array);
            piece.missing.insert(name.clone(), missing);
        }
        if let Some(join) = &self.table.join {
            let cells = dataset.cells(batch, join)?;
            let join = values(&cells, &mut piece, |cell| Some(text_of(cell)), join, Incomplete::LeaveOut);
            piece.join = join.into_iter().map(Option::unwrap_or_default).collect();
        }
        if let Some(class) = self.class() {
            let cells = dataset.cells(batch, &class.column)?;
            let names = &self.table.classes;
            let number = |cell: Cell<'_>| match cell {
                Cell::I64(class) if names.is_empty() => Some(class),
                Cell::Utf8(name) => names.iter().position(|known| known == name).map(|index| index as i64),
                _ => None,
            };
            piece.class = values(&cells, &mut piece, number, &class.column, self.reading.incomplete);
        }
        Ok(piece)
    }
}

/// Reads one value per row. Rows without a value become bad, unless their cell is null and such rows are kept.
fn values<T>(
    cells: &CellColumn,
    piece: &mut Piece,
    read: impl Fn(Cell<'_>) -> Option<T>,
    column: &str,
    incomplete: Incomplete,
) -> Vec<Option<T>> {
    let mut found = Vec::with_capacity(cells.len());
    for row in 0..cells.len() {
        let cell = cells.get(row);
        let is_kept = incomplete == Incomplete::Keep && matches!(cell, Ok(None));
        let error = cell.as_ref().err().map(ToString::to_string);
        let value = cell.ok().flatten().and_then(&read);
        if value.is_none() && !is_kept {
            let reason = error.unwrap_or_else(|| format!("row {row} has no usable value"));
            piece.reason.get_or_insert_with(|| format!("column {column}: {reason}"));
            piece.bad.insert(row);
        }
        found.push(value);
    }
    found
}

impl<A> SourceRows<A> {
    /// The number of rows that lack each stream, as a text; `None` if every row has every stream.
    pub fn missing_text(&self) -> Option<String> {
        let count = |missing: &Vec<bool>| missing.iter().filter(|missing| **missing).count();
        let counts = self.missing.iter().map(|(stream, missing)| format!("{} lack {stream}", count(missing)));
        let counts = counts.collect::<Vec<_>>().join(", ");
        (!counts.is_empty()).then(|| format!("of {} rows, {counts}", self.rows))
    }
}

fn text_of(cell: Cell<'_>) -> String {
    match cell {
        Cell::Bytes(bytes) => format!("{:?}", bytes),
        Cell::Utf8(text) => text.to_string(),
        Cell::I64(value) => value.to_string(),
        Cell::F64(value) => value.to_string(),
        Cell::List(list) => format!("{list:?}"),
        Cell::Files(files) => format!("{files:?}"),
    }
}

fn without_bad(mut piece: Piece, rows: usize) -> Result<Piece> {
    if piece.bad.is_empty() {
        return Ok(piece);
    }
    let good: Vec<i64> = (0..rows).filter(|row| !piece.bad.contains(row)).map(|row| row as i64).collect();
    let index = Tensor::from_slice(&good);
    for array in piece.arrays.values_mut() {
        *array = array.f_index_select(0, &index)?;
    }
    for missing in piece.missing.values_mut() {
        *missing = kept(std::mem::take(missing), &piece.bad);
    }
    piece.join = kept(piece.join, &piece.bad);
    piece.class = kept(piece.class, &piece.bad);
    Ok(piece)
}

fn kept<T>(values: Vec<T>, bad: &BTreeSet<usize>) -> Vec<T> {
    values.into_iter().enumerate().filter(|(row, _)| !bad.contains(row)).map(|(_, value)| value).collect()
}
