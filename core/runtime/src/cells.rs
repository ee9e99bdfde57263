//! Cells to arrays and back, through a codec.

use anyflow_datasets::{CellColumn, OwnedCell};
use tch::Tensor;

use crate::Result;
use crate::plugin::{Codec, RowError};

/// Encodes cells to an array `[row, axes]` in host memory, and lists the rows whose cell is null, unreadable or refused.
/// Those rows are zero.
///
/// # Errors
/// The codec failed as a whole.
pub fn read_cells(codec: &Codec, cells: CellColumn, threads: usize) -> Result<(Tensor, Vec<RowError>)> {
    let cells = codec.adapted(cells)?;
    let mut unreadable = Vec::new();
    let mut views = Vec::with_capacity(cells.len());
    for row in 0..cells.len() {
        views.push(cells.get(row).unwrap_or_else(|error| {
            unreadable.push(RowError { row, text: error.to_string() });
            None
        }));
    }
    let (array, mut failed) = codec.encode(&views, threads)?;
    failed.retain(|refused| unreadable.iter().all(|known| known.row != refused.row));
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
