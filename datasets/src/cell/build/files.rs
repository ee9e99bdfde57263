//! Builds columns of lists of files.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryBuilder, LargeListArray, ListArray, new_null_array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::DataType;

use super::{Cell, OwnedCell, borrowed, cast, media_column, total_bytes};
use crate::error::{DatasetError, Result};

/// Builds a column of `data_type` from the files of each row. The caller has checked the cell kinds.
pub(super) fn files_column(cells: &[Option<OwnedCell>], data_type: &DataType) -> Result<ArrayRef> {
    let mut builder = BinaryBuilder::with_capacity(cells.len(), total_bytes(cells)?);
    let mut lengths = Vec::with_capacity(cells.len());
    for cell in borrowed(cells) {
        let files = if let Some(Cell::Files(files)) = cell { files } else { &[] };
        files.iter().for_each(|file| builder.append_value(file));
        lengths.push(files.len());
    }
    let bytes: ArrayRef = Arc::new(builder.finish());
    let files = |item: &DataType| match item {
        DataType::Struct(_) => {
            let no_paths = new_null_array(&DataType::Utf8, bytes.len());
            Ok(media_column(bytes.clone(), no_paths))
        }
        _ => cast(bytes.clone(), item),
    };
    let valid: NullBuffer = cells.iter().map(Option::is_some).collect();
    let valid = Some(valid).filter(|valid| valid.null_count() > 0);
    let failed = |error| DatasetError::internal("writing lists of files", error);
    Ok(match data_type {
        DataType::List(item) => {
            let offsets = OffsetBuffer::from_lengths(lengths);
            let files = files(item.data_type())?;
            Arc::new(ListArray::try_new(item.clone(), offsets, files, valid).map_err(failed)?)
        }
        DataType::LargeList(item) => {
            let offsets = OffsetBuffer::from_lengths(lengths);
            let files = files(item.data_type())?;
            Arc::new(LargeListArray::try_new(item.clone(), offsets, files, valid).map_err(failed)?)
        }
        other => return Err(DatasetError::internal("writing lists of files", other)),
    })
}
