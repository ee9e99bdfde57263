//! Embeds files that media cells point to.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StructArray};
use arrow::datatypes::{DataType, Schema};

use super::Dataset;
use super::batches::Batches;
use super::row_batch::{RowBatch, UnreadableRow};
use super::size::batch_bytes;
use crate::cell::{Cell, CellColumn, column_from_cells};
use crate::error::{DatasetError, Result};
use crate::feature::media_fields;

/// Batches of a range of rows whose media cells hold their bytes, from [`Batches::embedded`].
pub struct Embedded {
    dataset: Dataset,
    batches: Batches,
    /// Parts of a batch that was split because its files exceed the bound together.
    waiting: VecDeque<RowBatch>,
}

impl Embedded {
    pub(super) fn new(dataset: Dataset, batches: Batches) -> Embedded {
        Embedded { dataset, batches, waiting: VecDeque::new() }
    }

    fn next_batch(&mut self) -> Result<Option<RowBatch>> {
        if self.waiting.is_empty() {
            let Some(batch) = self.batches.next().transpose()? else { return Ok(None) };
            self.waiting = self.split(batch)?;
        }
        self.waiting.pop_front().map(|batch| embed(&self.dataset, batch)).transpose()
    }

    /// Splits a batch into parts that stay within the bound with their files.
    fn split(&self, batch: RowBatch) -> Result<VecDeque<RowBatch>> {
        let columns = linked_columns(&self.dataset, &batch.rows)?;
        if columns.is_empty() {
            return Ok(VecDeque::from([batch]));
        }
        let most = self.batches.bound().bytes;
        let count = batch.rows.num_rows();
        let own = batch_bytes(&batch.rows) / count.max(1) as u64;
        let mut parts = VecDeque::new();
        let mut start = 0;
        let mut bytes = 0;
        for row in 0..count {
            let more = own + columns.iter().map(|column| column.linked_bytes(row)).sum::<u64>();
            if row > start && bytes + more > most {
                parts.push_back(batch.slice(start, row - start));
                (start, bytes) = (row, 0);
            }
            bytes += more;
        }
        parts.push_back(batch.slice(start, count - start));
        Ok(parts)
    }
}

impl Iterator for Embedded {
    type Item = Result<RowBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}

/// The batch with the bytes of media cells that held only a path. Rows with unreadable files are listed.
pub(super) fn embed(dataset: &Dataset, mut batch: RowBatch) -> Result<RowBatch> {
    let mut columns = batch.rows.columns().to_vec();
    let mut fields = batch.rows.schema().fields().to_vec();
    let mut changed = false;
    for (column, field) in columns.iter_mut().zip(&mut fields) {
        if is_linked(dataset, field.name(), column) {
            let cells = dataset.cells(&batch.rows, field.name())?;
            *column = with_bytes(dataset, &cells, field.name(), column, &mut batch.unreadable)?;
            *field = Arc::new(field.as_ref().clone().with_data_type(column.data_type().clone()));
            changed = true;
        }
    }
    if changed {
        let schema = Schema::new_with_metadata(fields, batch.rows.schema().metadata().clone());
        let rows = RecordBatch::try_new(Arc::new(schema), columns);
        batch.rows = rows.map_err(|error| DatasetError::internal("embedding files", error))?;
    }
    Ok(batch)
}

fn linked_columns(dataset: &Dataset, rows: &RecordBatch) -> Result<Vec<CellColumn>> {
    let schema = rows.schema();
    let linked = schema.fields().iter().zip(rows.columns());
    let linked = linked.filter(|(field, column)| is_linked(dataset, field.name(), column));
    linked.map(|(field, _)| dataset.cells(rows, field.name())).collect()
}

fn is_linked(dataset: &Dataset, name: &str, column: &ArrayRef) -> bool {
    dataset.features().get(name).is_some_and(|feature| feature.is_media()) && !has_all_bytes(column)
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

fn with_bytes(
    dataset: &Dataset,
    cells: &CellColumn,
    name: &str,
    column: &ArrayRef,
    unreadable: &mut Vec<UnreadableRow>,
) -> Result<ArrayRef> {
    let mut owned = Vec::with_capacity(cells.len());
    for row in 0..cells.len() {
        owned.push(match cells.get(row) {
            Ok(cell) => cell.map(Cell::into_owned),
            Err(error) => {
                note(unreadable, row, &error);
                None
            }
        });
    }
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
    // All batches of a dataset have the same type, with and without embedded files.
    let keeps_bytes = matches!(column.data_type(), DataType::Struct(fields) if fields.len() == 2);
    let kept = keeps_bytes.then(|| arrow::compute::cast(&embedded, column.data_type()).ok()).flatten();
    Ok(kept.unwrap_or(embedded))
}

/// Lists a row once, in order.
fn note(unreadable: &mut Vec<UnreadableRow>, row: usize, error: &DatasetError) {
    let place = unreadable.partition_point(|bad| bad.row < row);
    if unreadable.get(place).is_none_or(|bad| bad.row != row) {
        unreadable.insert(place, UnreadableRow { row, code: error.code(), reason: error.to_string() });
    }
}
