//! The rows that a pipeline puts out.

use std::sync::Arc;

use anyflow_datasets::{Failure, Features, column_from_cells};
use anyflow_plan::plan::RunPlan;
use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};
use arrow::ipc::writer::StreamWriter;

use super::features::features;
use super::micro_batch::MicroBatch;
use crate::{Result, RunError};

/// Makes output rows of decoded micro-batches.
pub struct OutputRows<'a> {
    plan: &'a RunPlan,
    /// True if an input column passes through.
    passes: Box<dyn Fn(&String) -> bool + Send + 'a>,
    /// Features of the output columns.
    pub features: Features,
}

impl<'a> OutputRows<'a> {
    /// Rows with the outputs of a pipeline and the input columns that pass. `inputs` are the features of the input columns.
    ///
    /// # Errors
    /// An output is not a column.
    pub fn new(plan: &'a RunPlan, passes: impl Fn(&String) -> bool + Send + 'a, inputs: &Features) -> Result<Self> {
        let features = features(plan, &passes, inputs)?;
        Ok(OutputRows { plan, passes: Box::new(passes), features })
    }

    /// Rows with the outputs of a pipeline without inputs.
    ///
    /// # Errors
    /// An output is not a column.
    pub fn alone(plan: &'a RunPlan) -> Result<Self> {
        OutputRows::new(plan, |_| false, &Features::default())
    }

    /// The good rows of a micro-batch, and the failures of the others.
    ///
    /// # Errors
    /// A value cannot be a column.
    pub fn of(&self, mut batch: MicroBatch) -> Result<(RecordBatch, Vec<Failure>)> {
        let good: Vec<bool> = (0..batch.keys.len()).map(|row| !batch.failures.contains_key(&row)).collect();
        let mask = BooleanArray::from(good.clone());
        let input = batch.input.as_ref().map(|rows| arrow::compute::filter_record_batch(rows, &mask)).transpose()?;
        let mut fields = Vec::new();
        let mut columns: Vec<ArrayRef> = Vec::new();
        if let Some(input) = &input {
            for (field, column) in input.schema().fields().iter().zip(input.columns()) {
                if (self.passes)(field.name()) {
                    fields.push(field.clone());
                    columns.push(column.clone());
                }
            }
        }
        for cells in batch.cells.values_mut() {
            let mut rows = good.iter();
            cells.retain(|_| rows.next().is_some_and(|good| *good));
        }
        for (index, (name, id)) in self.plan.outputs.iter().enumerate() {
            let column = match batch.cells.get(id) {
                Some(cells) => column_from_cells(cells, &self.features[name])?,
                None => self.passed(id, input.as_ref())?,
            };
            // Cells are large; they leave memory with their last column.
            if !self.plan.outputs.values().skip(index + 1).any(|later| later == id) {
                batch.cells.shift_remove(id);
            }
            fields.push(Arc::new(Field::new(name, column.data_type().clone(), true)));
            columns.push(column);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(mask.true_count()));
        let rows = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?;
        Ok((rows, batch.failures.into_values().collect()))
    }

    /// An input column that is also an output, possibly under another name.
    fn passed(&self, id: &str, input: Option<&RecordBatch>) -> Result<ArrayRef> {
        let found = self.plan.inputs.get(id).and_then(|of| input?.column_by_name(&of.column).cloned());
        found.ok_or_else(|| RunError::Internal(format!("output value {id} is missing")))
    }
}

/// Rows as an Arrow IPC stream whose schema states the features.
///
/// # Errors
/// [`RunError::Arrow`].
pub fn encoded(features: &Features, rows: &[RecordBatch]) -> Result<Vec<u8>> {
    let untyped = || RunError::Internal("an output has no Arrow type".into());
    let schema = match rows.first() {
        Some(rows) => features.stamp(&rows.schema()),
        None => features.to_schema().ok_or_else(untyped)?,
    };
    let schema = Arc::new(schema);
    let mut writer = StreamWriter::try_new(Vec::new(), &schema)?;
    for rows in rows {
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        writer.write(&RecordBatch::try_new_with_options(schema.clone(), rows.columns().to_vec(), &options)?)?;
    }
    Ok(writer.into_inner()?)
}
