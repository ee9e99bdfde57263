//! Cells to arrays and back, through a codec.

use anyflow_datasets::{Cell, CellColumn, OwnedCell};
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

/// Reads cells as [`numbers_of`], and says which are null.
///
/// # Errors
/// Memory runs out.
pub fn read_numbers(cells: &CellColumn, numbers: i64) -> Result<(Tensor, Vec<FailedCell>)> {
    let each = (0..cells.len()).map(|row| cells.get(row).map_err(|error| error.to_string()));
    let (array, failed) = numbers_of(each, numbers)?;
    let is_null = |row: usize| matches!(cells.get(row), Ok(None));
    let failed = failed.into_iter().map(|RowError { row, text }| FailedCell { row, text, is_null: is_null(row) });
    Ok((array, failed.collect()))
}

/// Lists of numbers as vectors `[row, numbers]`, f32 in host memory, and the rows without a list of this length, which are
/// zero.
///
/// # Errors
/// Memory runs out.
pub fn numbers_of<'c>(
    cells: impl Iterator<Item = std::result::Result<Option<Cell<'c>>, String>>,
    numbers: i64,
) -> Result<(Tensor, Vec<RowError>)> {
    let mut flat: Vec<f32> = Vec::new();
    let mut failed = Vec::new();
    let mut rows = 0;
    for (row, cell) in cells.enumerate() {
        let list = match &cell {
            Ok(Some(Cell::List(list))) if list.depth() == 1 && list.values().len() as i64 == numbers => {
                Ok(list.values())
            }
            Ok(Some(Cell::List(list))) => Err(format!("the list has {} numbers, not {numbers}", list.values().len())),
            Ok(Some(_)) => Err("the cell holds no list of numbers".into()),
            Ok(None) => Err("the cell is null".into()),
            Err(text) => Err(text.clone()),
        };
        match list {
            Ok(values) => flat.extend(values.iter().map(|value| *value as f32)),
            Err(text) => {
                flat.extend(std::iter::repeat_n(0.0, numbers as usize));
                failed.push(RowError { row, text });
            }
        }
        rows += 1;
    }
    Ok((Tensor::f_from_slice(&flat)?.f_view([rows, numbers])?, failed))
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
