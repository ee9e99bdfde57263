//! Builds columns of nested lists of numbers.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float64Array, LargeListArray, ListArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::DataType;

use super::{Cell, OwnedCell, cast};
use crate::error::{DatasetError, Result};
use crate::list::take;

/// Builds a column of `data_type` from one list per row. The caller has checked the cell kinds.
pub(super) fn list_column(cells: &[Option<OwnedCell>], data_type: &DataType, depth: u32) -> Result<ArrayRef> {
    let mut values = Vec::new();
    // Lengths of all lists per depth, the outermost last.
    let mut lengths = vec![Vec::new(); depth as usize];
    let mut ends = Vec::with_capacity(cells.len());
    let sizes = fixed_sizes(data_type);
    for (row, cell) in cells.iter().enumerate() {
        let mut misfit = None;
        let mut tell = |depth: u32, length: u64| {
            let at = depth as usize - 1;
            lengths[at].push(length as usize);
            misfit = misfit.or(sizes[at].filter(|size| *size != length).map(|size| (size, length)));
        };
        match cell.as_ref().map(OwnedCell::as_cell) {
            Some(Cell::List(list)) => {
                take(depth, &mut list.lengths(), &mut tell);
                if let Some((size, length)) = misfit {
                    let expected = format!("lists of {size} items");
                    let found = format!("a list of {length}");
                    return Err(DatasetError::WrongCell { row, expected, found });
                }
                check_whole(row, list.values(), data_type)?;
                values.extend(list.values());
            }
            _ => {
                let numbers = fill(data_type, depth, &mut tell);
                values.resize(values.len() + numbers, 0.0);
            }
        }
        ends.push(values.len());
    }
    let valid: NullBuffer = cells.iter().map(Option::is_some).collect();
    let valid = Some(valid).filter(|valid| valid.null_count() > 0);
    nest(data_type, &mut lengths, values, valid).map_err(|error| in_row(error, &ends))
}

/// Fills the place of a null: with nothing, or with zeros for lists of fixed size.
fn fill(data_type: &DataType, depth: u32, tell: &mut impl FnMut(u32, u64)) -> usize {
    match data_type {
        DataType::FixedSizeList(item, size) => {
            tell(depth, *size as u64);
            if depth == 1 { *size as usize } else { (0..*size).map(|_| fill(item.data_type(), depth - 1, tell)).sum() }
        }
        _ => {
            tell(depth, 0);
            0
        }
    }
}

/// The fixed list size of each depth, if the type has one, the outermost last.
fn fixed_sizes(data_type: &DataType) -> Vec<Option<u64>> {
    let (item, size) = match data_type {
        DataType::List(item) | DataType::LargeList(item) => (item, None),
        DataType::FixedSizeList(item, size) => (item, u64::try_from(*size).ok()),
        _ => return Vec::new(),
    };
    let mut sizes = fixed_sizes(item.data_type());
    sizes.push(size);
    sizes
}

/// Converts an error that names the index of a number into one that names its row. `ends` are the ends of the rows.
fn in_row(error: DatasetError, ends: &[usize]) -> DatasetError {
    match error {
        DatasetError::WrongCell { row: at, expected, found } => {
            DatasetError::WrongCell { row: ends.partition_point(|end| *end <= at), expected, found }
        }
        other => other,
    }
}

/// Refuses fractions in a column of integers, because Arrow would truncate them.
fn check_whole(row: usize, values: &[f64], data_type: &DataType) -> Result<()> {
    let broken = values.iter().find(|value| value.fract() != 0.0);
    match broken {
        Some(value) if leaf(data_type).is_integer() => {
            let expected = format!("whole numbers for {data_type}");
            Err(DatasetError::WrongCell { row, expected, found: value.to_string() })
        }
        _ => Ok(()),
    }
}

fn leaf(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => leaf(item.data_type()),
        other => other,
    }
}

/// Builds the array of `data_type` from the lengths of its lists (the outermost last) and their numbers.
fn nest(
    data_type: &DataType,
    lengths: &mut Vec<Vec<usize>>,
    values: Vec<f64>,
    valid: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let Some(outer) = lengths.pop() else { return cast(Arc::new(Float64Array::from(values)), data_type) };
    let failed = |error| DatasetError::internal("writing lists", error);
    match data_type {
        DataType::List(item) => {
            let total: usize = outer.iter().sum();
            if i32::try_from(total).is_err() {
                let reason = format!("{total} items in one batch; batches must stay below 2^31");
                return Err(DatasetError::internal("writing lists", reason));
            }
            let items = nest(item.data_type(), lengths, values, None)?;
            let array = ListArray::try_new(item.clone(), OffsetBuffer::from_lengths(outer), items, valid);
            Ok(Arc::new(array.map_err(failed)?))
        }
        DataType::LargeList(item) => {
            let items = nest(item.data_type(), lengths, values, None)?;
            let array = LargeListArray::try_new(item.clone(), OffsetBuffer::from_lengths(outer), items, valid);
            Ok(Arc::new(array.map_err(failed)?))
        }
        DataType::FixedSizeList(item, size) => {
            let items = nest(item.data_type(), lengths, values, None)?;
            let array = FixedSizeListArray::try_new(item.clone(), *size, items, valid);
            Ok(Arc::new(array.map_err(failed)?))
        }
        other => Err(DatasetError::internal("writing lists", other)),
    }
}
