//! Several draws of each row: the same cells with other keys, hence other noise.

use std::sync::Arc;

use anyflow_datasets::{Failure, RowKey};
use anyflow_plan::order::DRAW_COLUMN;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt64Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Schema};

use super::micro_batch::MicroBatch;
use crate::Result;

/// The rows of a batch as it is read, each `draws` times. The key of draw n gets the suffix `#n`, and the input gets a
/// column with n.
///
/// # Errors
/// [`RunError::Arrow`](crate::RunError::Arrow).
pub fn repeated(batch: MicroBatch, draws: u64) -> Result<MicroBatch> {
    let MicroBatch { shard, ends_shard, input, numbers, keys, failures, .. } = batch;
    let input = input.map(|rows| with_draws(&rows, draws)).transpose()?;
    let each = |draw: u64, key: &RowKey| RowKey::new(format!("{}#{draw}", key.text));
    let repeated = MicroBatch {
        numbers: numbers.iter().flat_map(|number| (0..draws).map(move |_| *number)).collect(),
        keys: keys.iter().flat_map(|key| (0..draws).map(move |draw| each(draw, key))).collect(),
        ..MicroBatch::new(Vec::new(), Vec::new(), None)
    };
    let failures = failures.into_iter().flat_map(|(row, failure)| {
        let keys = &repeated.keys;
        (row * draws as usize..(row + 1) * draws as usize)
            .map(move |row| (row, Failure { row_key: keys[row].text.clone(), ..failure.clone() }))
    });
    let failures = failures.collect();
    Ok(MicroBatch { shard, ends_shard, input, failures, ..repeated })
}

fn with_draws(rows: &RecordBatch, draws: u64) -> Result<RecordBatch> {
    let places: UInt64Array = (0..rows.num_rows() as u64).flat_map(|row| (0..draws).map(move |_| row)).collect();
    let numbers: Int64Array = (0..rows.num_rows()).flat_map(|_| 0..draws as i64).collect();
    let repeated = take_record_batch(rows, &places)?;
    let draw = Arc::new(Field::new(DRAW_COLUMN, DataType::Int64, false));
    let schema = rows.schema();
    let fields: Vec<_> = schema.fields().iter().cloned().chain([draw]).collect();
    let columns: Vec<ArrayRef> = repeated.columns().iter().cloned().chain([Arc::new(numbers) as ArrayRef]).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())), columns)?)
}
