//! Files that media cells point to, put into the cells.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StructArray};
use arrow::datatypes::{DataType, Schema};

use super::Dataset;
use crate::cell::{Cell, column_from_cells};
use crate::error::{DatasetError, Result};
use crate::feature::media_fields;

/// The batch with bytes wherever a media cell had only a path.
pub(super) fn embed(dataset: &Dataset, batch: &RecordBatch) -> Result<RecordBatch> {
    let mut columns = batch.columns().to_vec();
    let mut fields = batch.schema().fields().to_vec();
    let mut changed = false;
    for (column, field) in columns.iter_mut().zip(&mut fields) {
        let media = dataset.features().get(field.name()).is_some_and(|feature| feature.is_media());
        if media && !has_all_bytes(column) {
            *column = with_bytes(dataset, batch, field.name(), column)?;
            *field = Arc::new(field.as_ref().clone().with_data_type(column.data_type().clone()));
            changed = true;
        }
    }
    if !changed {
        return Ok(batch.clone());
    }
    let schema = Schema::new_with_metadata(fields, batch.schema().metadata().clone());
    RecordBatch::try_new(Arc::new(schema), columns).map_err(|error| DatasetError::internal("embedding files", error))
}

fn has_all_bytes(column: &ArrayRef) -> bool {
    match column.data_type() {
        DataType::Struct(_) => {
            let bytes = column.as_struct().column_by_name("bytes");
            bytes.is_some_and(|bytes| (0..column.len()).all(|row| bytes.is_valid(row) || column.is_null(row)))
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => false,
        _ => true,
    }
}

fn with_bytes(dataset: &Dataset, batch: &RecordBatch, name: &str, column: &ArrayRef) -> Result<ArrayRef> {
    let cells = dataset.cells(batch, name)?;
    let owned = (0..cells.len()).map(|row| Ok(cells.get(row)?.map(Cell::into_owned))).collect::<Result<Vec<_>>>()?;
    let built = column_from_cells(&owned, dataset.column(name)?)?;
    let paths = match column.data_type() {
        DataType::Struct(_) => column.as_struct().column_by_name("path").cloned(),
        _ => Some(column.clone()),
    };
    let text = paths.and_then(|paths| arrow::compute::cast(&paths, &DataType::Utf8).ok());
    let Some(paths) = text else { return Ok(built) };
    let built = built.as_struct();
    let columns = vec![built.column(0).clone(), paths];
    let embedded: ArrayRef = Arc::new(StructArray::new(media_fields(), columns, built.nulls().cloned()));
    // All batches of a dataset keep one type, whether a file had to be embedded or not.
    let keeps_bytes = matches!(column.data_type(), DataType::Struct(fields) if fields.len() == 2);
    let kept = keeps_bytes.then(|| arrow::compute::cast(&embedded, column.data_type()).ok()).flatten();
    Ok(kept.unwrap_or(embedded))
}
