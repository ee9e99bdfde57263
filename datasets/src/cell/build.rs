//! Builds columns from single values.

mod files;
mod lists;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryBuilder, Float64Array, Int64Array, StringBuilder, StructArray, new_null_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;

use super::{Cell, OwnedCell};
use crate::error::{DatasetError, Result};
use crate::feature::{CellKind, Feature, media_fields};
use files::files_column;
use lists::list_column;

/// Builds a column of `feature` from one value per row. Media become `struct<bytes: binary, path: string>` without
/// path.
///
/// # Errors
/// [`DatasetError::WrongCell`] if a value is of another kind than the column, does not fit its width, or is not a
/// class of its label; [`DatasetError::Internal`] if the feature has no single values or the batch passes 2 GiB.
pub fn column_from_cells(cells: &[Option<OwnedCell>], feature: &Feature) -> Result<ArrayRef> {
    let (Some(kind), Some(data_type)) = (feature.cell(), feature.arrow_type()) else {
        return Err(DatasetError::internal("writing a column of single values", feature.describe()));
    };
    check_kinds(cells, kind, feature)?;
    match kind {
        CellKind::Bytes => {
            let bytes = bytes_column(cells)?;
            let no_paths = || new_null_array(&DataType::Utf8, cells.len());
            if matches!(data_type, DataType::Struct(_)) {
                Ok(media_column(bytes, no_paths()))
            } else {
                cast(bytes, &data_type)
            }
        }
        CellKind::Utf8 => cast(text_column(cells)?, &data_type),
        CellKind::I64 => cast(int_column(cells, feature)?, &data_type),
        CellKind::F64 => cast(float_column(cells), &data_type),
        CellKind::List(depth) => list_column(cells, &data_type, depth),
        CellKind::Files => files_column(cells, &data_type),
    }
}

fn check_kinds(cells: &[Option<OwnedCell>], kind: CellKind, feature: &Feature) -> Result<()> {
    let wrong = cells.iter().enumerate().find(|(_, cell)| cell.as_ref().is_some_and(|cell| cell.kind() != kind));
    match wrong {
        Some((row, Some(cell))) => {
            let expected = format!("{} ({kind:?})", feature.describe());
            Err(DatasetError::WrongCell { row, expected, found: format!("{:?}", cell.kind()) })
        }
        _ => Ok(()),
    }
}

fn borrowed(cells: &[Option<OwnedCell>]) -> impl Iterator<Item = Option<Cell<'_>>> {
    cells.iter().map(|cell| cell.as_ref().map(OwnedCell::as_cell))
}

fn bytes_column(cells: &[Option<OwnedCell>]) -> Result<ArrayRef> {
    let mut builder = BinaryBuilder::with_capacity(cells.len(), total_bytes(cells)?);
    for cell in borrowed(cells) {
        match cell {
            Some(Cell::Bytes(bytes)) => builder.append_value(bytes),
            _ => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn text_column(cells: &[Option<OwnedCell>]) -> Result<ArrayRef> {
    let mut builder = StringBuilder::with_capacity(cells.len(), total_bytes(cells)?);
    for cell in borrowed(cells) {
        match cell {
            Some(Cell::Utf8(text)) => builder.append_value(text),
            _ => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// Sums the bytes of a column. Refuses 2 GiB or more, because Arrow's builders would panic.
fn total_bytes(cells: &[Option<OwnedCell>]) -> Result<usize> {
    let length = |cell: Option<Cell<'_>>| match cell {
        Some(Cell::Bytes(bytes)) => bytes.len(),
        Some(Cell::Utf8(text)) => text.len(),
        Some(Cell::Files(files)) => files.iter().map(Vec::len).sum(),
        _ => 0,
    };
    let total: usize = borrowed(cells).map(length).sum();
    if i32::try_from(total).is_ok() {
        return Ok(total);
    }
    Err(DatasetError::internal(
        "writing a column",
        format!("{total} bytes in one batch; batches must stay below 2 GiB"),
    ))
}

/// Builds `struct<bytes, path>` from its two columns. A row without bytes and path is null.
pub(crate) fn media_column(bytes: ArrayRef, paths: ArrayRef) -> ArrayRef {
    let valid: NullBuffer = (0..bytes.len()).map(|row| bytes.is_valid(row) || paths.is_valid(row)).collect();
    Arc::new(StructArray::new(media_fields(), vec![bytes, paths], Some(valid)))
}

fn int_column(cells: &[Option<OwnedCell>], feature: &Feature) -> Result<ArrayRef> {
    let values: Vec<Option<i64>> =
        borrowed(cells).map(|cell| if let Some(Cell::I64(v)) = cell { Some(v) } else { None }).collect();
    if let Feature::ClassLabel { names } = feature {
        let classes = i64::try_from(names.len()).unwrap_or(i64::MAX);
        let no_class = |value: &Option<i64>| value.is_some_and(|value| value < -1 || (classes > 0 && value >= classes));
        if let Some(row) = values.iter().position(no_class) {
            let found = format!("class {}", values[row].unwrap_or_default());
            return Err(DatasetError::WrongCell { row, expected: format!("one of {classes} classes"), found });
        }
    }
    Ok(Arc::new(Int64Array::from(values)))
}

fn float_column(cells: &[Option<OwnedCell>]) -> ArrayRef {
    let value = |cell: Option<Cell<'_>>| if let Some(Cell::F64(value)) = cell { Some(value) } else { None };
    Arc::new(borrowed(cells).map(value).collect::<Float64Array>())
}

/// Narrows int64 to the column's width. A value that does not fit is the codec's mistake.
fn cast(array: ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    if array.data_type() == data_type {
        return Ok(array);
    }
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&array, data_type, &strict).map_err(|error| {
        let lenient = cast_with_options(&array, data_type, &CastOptions::default()).ok();
        let lost = |row: &usize| lenient.as_ref().is_some_and(|kept| kept.is_null(*row) && array.is_valid(*row));
        let row = (0..array.len()).find(lost).unwrap_or(0);
        DatasetError::WrongCell { row, expected: data_type.to_string(), found: error.to_string() }
    })
}
