//! Cells to arrays and back, through a codec.

use anyflow_datasets::{CellColumn, OwnedCell};
use tch::Tensor;

use crate::Result;
use crate::plugin::{Codec, RowError};

/// A cell without an array.
pub struct FailedCell {
    /// Its row.
    pub row: usize,
    /// The reason.
    pub text: String,
    /// True if the cell is null. Otherwise it is unreadable, or the codec refused it.
    pub is_null: bool,
}

/// Encodes cells to an array `[row, axes]` in host memory, and lists the rows whose cell is null, unreadable or refused.
/// Those rows are zero.
///
/// # Errors
/// The codec failed as a whole.
pub fn read_cells(codec: &Codec, cells: CellColumn, threads: usize) -> Result<(Tensor, Vec<FailedCell>)> {
    let cells = codec.adapted(cells)?;
    let mut unreadable = Vec::new();
    let mut views = Vec::with_capacity(cells.len());
    for row in 0..cells.len() {
        views.push(cells.get(row).unwrap_or_else(|error| {
            unreadable.push(FailedCell { row, text: error.to_string(), is_null: false });
            None
        }));
    }
    let (array, mut refused) = codec.encode(&views, threads)?;
    refused.retain(|refused| unreadable.iter().all(|known| known.row != refused.row));
    let is_null = |row: usize| views.get(row).is_some_and(Option::is_none);
    let of_codec = |RowError { row, text }| FailedCell { row, text, is_null: is_null(row) };
    let mut failed: Vec<FailedCell> = refused.into_iter().map(of_codec).collect();
    failed.extend(unreadable);
    Ok((array, failed))
}

/// Decodes an array `[row, axes]` to a cell per row, and lists the rows that the codec refuses. Those have no cell.
///
/// # Errors
/// The codec failed as a whole.
pub fn write_cells(codec: &Codec, array: &Tensor, threads: usize) -> Result<(Vec<Option<OwnedCell>>, Vec<RowError>)> {
    let mut failed = Vec::new();
    let decoded = codec.decode(array, threads)?.into_iter().enumerate();
    let cell = |(row, cell): (usize, std::result::Result<OwnedCell, String>)| match cell {
        Ok(cell) => Some(cell),
        Err(text) => {
            failed.push(RowError { row, text });
            None
        }
    };
    let cells = decoded.map(cell).collect();
    Ok((cells, failed))
}
