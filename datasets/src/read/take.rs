//! Random access: chosen rows as one batch.

use std::ops::Range;

use arrow::array::{RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

use super::Dataset;
use super::batches::{PartReader, positions};
use super::part::{Part, conform};
use crate::error::{DatasetError, Result};

const BATCH_ROWS: usize = 1024;

pub(super) fn take(dataset: &Dataset, indices: &[usize], rows: &[u64]) -> Result<RecordBatch> {
    let mut wanted = rows.to_vec();
    wanted.sort_unstable();
    wanted.dedup();
    if let Some(row) = wanted.last().filter(|row| **row >= dataset.rows()) {
        return Err(DatasetError::internal("taking rows", format!("row {row} of {}", dataset.rows())));
    }
    let internal = |error| DatasetError::internal("taking rows", error);
    let schema = dataset.projected_schema(indices);
    if indices.is_empty() {
        let count = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        return RecordBatch::try_new_with_options(schema, Vec::new(), &count).map_err(internal);
    }
    let mut pieces = Vec::new();
    for part in dataset.parts() {
        let inside = part.row_range();
        let from = wanted.partition_point(|row| *row < inside.start);
        let to = wanted.partition_point(|row| *row < inside.end);
        read_rows(part, indices, &wanted[from..to], &schema, &mut pieces)?;
    }
    let sorted = concat_batches(&schema, &pieces).map_err(internal)?;
    let places = rows.iter().map(|row| wanted.partition_point(|other| other < row) as u64);
    take_record_batch(&sorted, &UInt64Array::from_iter_values(places)).map_err(internal)
}

/// Reads sorted rows (counted in the dataset) of one file.
fn read_rows(
    part: &Part,
    indices: &[usize],
    wanted: &[u64],
    schema: &SchemaRef,
    pieces: &mut Vec<RecordBatch>,
) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let (groups, selection) = selection(part, wanted);
    let mut reader = PartReader::build(part.clone(), indices, wanted[0] - part.first_row, |builder| {
        builder.with_row_groups(groups).with_row_selection(selection).with_batch_size(BATCH_ROWS.min(wanted.len()))
    })?;
    let positions = positions(indices);
    while let Some(batch) = reader.next()? {
        pieces.push(conform(&batch, &positions, schema)?);
    }
    Ok(())
}

/// Row groups that hold a wanted row, and which of their rows.
fn selection(part: &Part, wanted: &[u64]) -> (Vec<usize>, RowSelection) {
    let mut groups = Vec::new();
    let mut selectors = Vec::new();
    for (index, Range { start, end }) in part.row_groups().enumerate() {
        let from = wanted.partition_point(|row| row - part.first_row < start);
        let to = wanted.partition_point(|row| row - part.first_row < end);
        if from == to {
            continue;
        }
        groups.push(index);
        let mut next = start;
        for row in wanted[from..to].iter().map(|row| row - part.first_row) {
            selectors.extend((row > next).then(|| RowSelector::skip((row - next) as usize)));
            selectors.push(RowSelector::select(1));
            next = row + 1;
        }
        selectors.extend((end > next).then(|| RowSelector::skip((end - next) as usize)));
    }
    (groups, RowSelection::from(selectors))
}
