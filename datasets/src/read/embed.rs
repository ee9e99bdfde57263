//! Embeds files that cells point to, in columns of media and in records of `bytes` and `path` without metadata.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, LargeListArray, ListArray, RecordBatch, StructArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Schema};

use super::Dataset;
use super::batches::Batches;
use super::row_batch::{RowBatch, UnreadableRow};
use super::size::batch_bytes;
use crate::cell::{Cell, CellColumn, column_from_cells, media_column};
use crate::error::{DatasetError, Result};
use crate::feature::Feature;

/// Batches of a range of rows whose media cells hold their bytes, from [`Batches::embedded`].
pub struct Embedded {
    dataset: Dataset,
    batches: Batches,
    /// Parts of a batch that was split because its files exceed the bound together.
    waiting: VecDeque<RowBatch>,
}

impl Batches {
    /// The same rows with the bytes of media cells that hold only a path. `dataset` is the source of the rows. The
    /// files count towards the bound.
    pub fn embedded(self, dataset: &Dataset) -> Embedded {
        Embedded { dataset: dataset.clone(), batches: self, waiting: VecDeque::new() }
    }
}

impl Embedded {
    fn next_batch(&mut self) -> Result<Option<RowBatch>> {
        if self.waiting.is_empty() {
            let Some(batch) = self.batches.next().transpose()? else { return Ok(None) };
            self.waiting = split(&self.dataset, batch, self.batches.bound().bytes)?;
        }
        self.waiting.pop_front().map(|batch| embed(&self.dataset, batch)).transpose()
    }
}

impl Iterator for Embedded {
    type Item = Result<RowBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}

/// Splits a batch into parts that stay within `most` bytes with their files.
pub(super) fn split(dataset: &Dataset, batch: RowBatch, most: u64) -> Result<VecDeque<RowBatch>> {
    let columns = linked_columns(dataset, &batch.rows)?;
    if columns.is_empty() {
        return Ok(VecDeque::from([batch]));
    }
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

/// The batch with the bytes of cells that held only a path. Rows with unreadable files are listed.
pub(super) fn embed(dataset: &Dataset, mut batch: RowBatch) -> Result<RowBatch> {
    let mut columns = batch.rows.columns().to_vec();
    let mut fields = batch.rows.schema().fields().to_vec();
    let mut changed = false;
    for (column, field) in columns.iter_mut().zip(&mut fields) {
        let Some(linked) = Linked::of(dataset, field.name(), column) else { continue };
        *column = linked.embedded(dataset, field.name(), &mut batch.unreadable)?;
        *field = Arc::new(field.as_ref().clone().with_data_type(column.data_type().clone()));
        changed = true;
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
    let linked = linked.filter(|(field, column)| Linked::of(dataset, field.name(), column).is_some());
    linked.map(|(field, _)| dataset.cells(rows, field.name())).collect()
}

/// Files of a column, some of which are only named.
struct Linked<'a> {
    column: &'a ArrayRef,
    /// The files: the column itself, or the items of its lists.
    files: ArrayRef,
    feature: Feature,
}

impl<'a> Linked<'a> {
    /// `None` for a column that names no file.
    fn of(dataset: &Dataset, name: &str, column: &'a ArrayRef) -> Option<Linked<'a>> {
        let feature = dataset.features().get(name)?;
        let (files, feature) = match column.data_type() {
            DataType::List(_) => (column.as_list::<i32>().values().clone(), feature.item()?),
            DataType::LargeList(_) => (column.as_list::<i64>().values().clone(), feature.item()?),
            _ => (column.clone(), feature.clone()),
        };
        (feature.is_file() && !has_all_bytes(&files)).then_some(Linked { column, files, feature })
    }

    /// The column with the bytes of all files. Lists the rows whose files cannot be read.
    fn embedded(&self, dataset: &Dataset, name: &str, unreadable: &mut Vec<UnreadableRow>) -> Result<ArrayRef> {
        let cells = CellColumn::new(&self.files, &self.feature).map_err(|error| error.in_column(name))?;
        let cells = cells.with_origin(name, dataset.folder());
        let mut owned = Vec::with_capacity(cells.len());
        for place in 0..cells.len() {
            owned.push(match cells.get(place) {
                Ok(cell) => cell.map(Cell::into_owned),
                Err(error) => {
                    // Items outside of all lists belong to no row.
                    self.row_of(place).into_iter().for_each(|row| note(unreadable, row, &error));
                    None
                }
            });
        }
        let bytes = column_from_cells(&owned, &Feature::Value("binary".into()))?;
        self.with_files(with_bytes(&self.files, bytes)?)
    }

    /// The row of a file.
    fn row_of(&self, place: usize) -> Option<usize> {
        let rows = self.column.len();
        let row = match self.column.data_type() {
            DataType::List(_) => {
                let offsets = self.column.as_list::<i32>().value_offsets();
                offsets.partition_point(|offset| *offset as usize <= place).checked_sub(1)?
            }
            DataType::LargeList(_) => {
                let offsets = self.column.as_list::<i64>().value_offsets();
                offsets.partition_point(|offset| *offset as usize <= place).checked_sub(1)?
            }
            _ => place,
        };
        (row < rows).then_some(row)
    }

    /// The column with other files.
    fn with_files(&self, files: ArrayRef) -> Result<ArrayRef> {
        let failed = |error| DatasetError::internal("embedding files", error);
        let item = |item: &FieldRef| Arc::new(item.as_ref().clone().with_data_type(files.data_type().clone()));
        match self.column.data_type() {
            DataType::List(field) => {
                let list = self.column.as_list::<i32>();
                let built = ListArray::try_new(item(field), list.offsets().clone(), files, list.nulls().cloned());
                Ok(Arc::new(built.map_err(failed)?))
            }
            DataType::LargeList(field) => {
                let list = self.column.as_list::<i64>();
                let built = LargeListArray::try_new(item(field), list.offsets().clone(), files, list.nulls().cloned());
                Ok(Arc::new(built.map_err(failed)?))
            }
            _ => Ok(files),
        }
    }
}

/// True if no file has to be read. The type alone decides where it must change, so that all batches have one type.
fn has_all_bytes(files: &ArrayRef) -> bool {
    let stored = match files.data_type() {
        DataType::Dictionary(_, values) => values,
        other => other,
    };
    match stored {
        DataType::Struct(_) => match files.as_struct().column_by_name("bytes") {
            Some(bytes) if *bytes.data_type() != DataType::Null => {
                (0..files.len()).all(|row| bytes.is_valid(row) || files.is_null(row))
            }
            _ => false,
        },
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => false,
        _ => true,
    }
}

/// The files with these bytes. Records keep their fields; texts, which were paths, become records.
fn with_bytes(files: &ArrayRef, bytes: ArrayRef) -> Result<ArrayRef> {
    let failed = |error| DatasetError::internal("embedding files", error);
    if let DataType::Struct(fields) = files.data_type()
        && let Some((place, field)) = fields.find("bytes")
    {
        let record = files.as_struct();
        let data_type = if *field.data_type() == DataType::Null { &DataType::Binary } else { field.data_type() };
        let mut columns = record.columns().to_vec();
        columns[place] = cast(&bytes, data_type).map_err(failed)?;
        let replaced = Arc::new(field.as_ref().clone().with_data_type(data_type.clone()).with_nullable(true));
        let fields = fields.iter().enumerate().map(|(index, field)| if index == place { &replaced } else { field });
        let record = StructArray::try_new(fields.cloned().collect(), columns, record.nulls().cloned());
        return Ok(Arc::new(record.map_err(failed)?));
    }
    let paths = match files.data_type() {
        DataType::Struct(_) => files.as_struct().column_by_name("path").cloned(),
        _ => Some(files.clone()),
    };
    let paths = paths.unwrap_or_else(|| new_null_array(&DataType::Utf8, files.len()));
    Ok(media_column(bytes, cast(&paths, &DataType::Utf8).map_err(failed)?))
}

/// Lists a row once, in order.
fn note(unreadable: &mut Vec<UnreadableRow>, row: usize, error: &DatasetError) {
    let place = unreadable.partition_point(|bad| bad.row < row);
    if unreadable.get(place).is_none_or(|bad| bad.row != row) {
        // The list says which row it is; a file of a list has a place of its own.
        let reason = match error {
            DatasetError::Cell { column, reason, .. } => format!("column `{column}`: {reason}"),
            other => other.to_string(),
        };
        unreadable.insert(place, UnreadableRow { row, code: error.code(), reason });
    }
}
