//! The last stage: rows to committed shards.

use std::sync::Arc;

use anyflow_datasets::{FAILURES_FILE, Failure, Features, OutputDir, ShardWriter, column_from_cells};
use anyflow_plan::order::Order;
use anyflow_plan::plan::RunPlan;
use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};

use super::batch::Batch;
use super::features::features;
use super::stage::End;
use crate::events::{Events, figures};
use crate::{Result, RunError};

/// What was written, earlier runs of the same job counted in.
pub struct Summary {
    /// Good rows.
    pub rows: u64,
    /// Failed rows.
    pub failed: u64,
    /// Shards.
    pub shards: u64,
}

/// Writes shards, batch by batch, and commits each when it is complete.
pub struct Writer<'a> {
    plan: &'a RunPlan,
    order: &'a Order,
    output: &'a OutputDir,
    events: &'a Events,
    /// Features of the columns that are written.
    features: Features,
    shard: Option<OpenShard>,
    counts: Counts,
    /// What passed in this run.
    passed: End,
}

/// A shard that is not complete.
struct OpenShard {
    number: u64,
    writer: ShardWriter,
    failures: Vec<Failure>,
    rows: u64,
}

/// Rows, those of earlier runs of the same job among them.
struct Counts {
    /// Rows that are through, good or failed.
    done: u64,
    /// Those of them that are committed.
    committed: u64,
    /// Rows that failed.
    failed: u64,
}

impl<'a> Writer<'a> {
    /// A writer into an output folder that may hold rows of earlier runs; `inputs` are the features of columns that pass
    /// through.
    ///
    /// # Errors
    /// An output that is no column.
    pub fn new(
        plan: &'a RunPlan,
        order: &'a Order,
        output: &'a OutputDir,
        inputs: &Features,
        events: &'a Events,
    ) -> Result<Self> {
        let (good, failed) = output.progress();
        let counts = Counts { done: good + failed, committed: good + failed, failed };
        let features = features(plan, inputs)?;
        Ok(Writer { plan, order, output, events, features, shard: None, counts, passed: End::default() })
    }

    /// Rows of committed shards, good or failed.
    pub fn committed(&self) -> u64 {
        self.counts.committed
    }

    /// Refuses to go on once more rows failed than the user allows. The reasons are on disk before the refusal is told.
    ///
    /// # Errors
    /// [`RunError::TooManyFailures`], or the disk.
    pub fn check_failures(&self) -> Result<()> {
        match self.order.max_failures {
            Some(allowed) if self.counts.failed > allowed => {
                self.output.write_failures()?;
                Err(RunError::TooManyFailures { failed: self.counts.failed, allowed, path: failures_file(self.order) })
            }
            _ => Ok(()),
        }
    }

    /// Writes the good rows of a batch, and commits the shard that it completes.
    ///
    /// # Errors
    /// The disk, or more failed rows than allowed.
    pub fn write(&mut self, batch: Batch) -> Result<()> {
        let _span = tracing::info_span!("write", shard = batch.shard, row = batch.first_row).entered();
        self.passed.count(&batch);
        let (number, ends_shard, rows) = (batch.shard, batch.ends_shard, batch.keys.len() as u64);
        let mut shard = match self.shard.take() {
            Some(shard) if shard.number == number => shard,
            Some(shard) => {
                let text = format!("rows of shard {number} came before the end of shard {}", shard.number);
                return Err(RunError::Internal(text));
            }
            None => {
                let writer = self.output.shard(number, &self.features)?;
                OpenShard { number, writer, failures: Vec::new(), rows: 0 }
            }
        };
        let (good, failures) = self.rows(batch)?;
        shard.writer.write(&good)?;
        shard.rows += rows;
        self.counts.done += rows;
        self.counts.failed += failures.len() as u64;
        shard.failures.extend(failures);
        if ends_shard {
            shard.writer.commit(&shard.failures)?;
            self.counts.committed += shard.rows;
        } else {
            self.shard = Some(shard);
        }
        let Counts { done, committed, failed } = self.counts;
        self.events.progress("rows", done, figures([("committed", committed.into()), ("failed", failed.into())]));
        if ends_shard { self.check_failures() } else { Ok(()) }
    }

    /// Closes the output with its manifest, if all rows have passed.
    ///
    /// # Errors
    /// Rows are missing, more failed than allowed, or the disk.
    pub fn finish(&mut self, end: End) -> Result<Summary> {
        if self.passed != end {
            return Err(RunError::Internal(format!("{end:?} was read, and {:?} came to be written", self.passed)));
        }
        self.check_failures()?;
        let manifest = self.output.finish()?;
        Ok(Summary { rows: manifest.rows, failed: manifest.failures, shards: manifest.shards.len() as u64 })
    }

    /// The good rows of a batch, and the failures of the others: inputs pass through unless an output takes their name.
    fn rows(&self, mut batch: Batch) -> Result<(RecordBatch, Vec<Failure>)> {
        let good: Vec<bool> = (0..batch.keys.len()).map(|row| !batch.failures.contains_key(&row)).collect();
        let mask = BooleanArray::from(good.clone());
        let input = batch.input.as_ref().map(|rows| arrow::compute::filter_record_batch(rows, &mask)).transpose()?;
        let (mut fields, mut columns) = (Vec::new(), Vec::<ArrayRef>::new());
        if let Some(input) = &input {
            for (field, column) in input.schema().fields().iter().zip(input.columns()) {
                if !self.plan.outputs.contains_key(field.name()) {
                    fields.push(field.clone());
                    columns.push(column.clone());
                }
            }
        }
        for (name, id) in &self.plan.outputs {
            let column = match batch.cells.shift_remove(id) {
                Some(cells) => {
                    let kept = cells.into_iter().zip(&good).filter(|(_, good)| **good).map(|(cell, _)| cell);
                    column_from_cells(&kept.collect::<Vec<_>>(), &self.features[name])?
                }
                None => self.passed(id, input.as_ref())?,
            };
            fields.push(Arc::new(Field::new(name, column.data_type().clone(), true)));
            columns.push(column);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(mask.true_count()));
        let rows = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?;
        Ok((rows, batch.failures.into_values().collect()))
    }

    /// An input that is also an output, under whatever name.
    fn passed(&self, id: &str, input: Option<&RecordBatch>) -> Result<ArrayRef> {
        let found = self.plan.inputs.get(id).and_then(|of| input?.column_by_name(&of.column).cloned());
        found.ok_or_else(|| RunError::Internal(format!("output value {id} was never made")))
    }
}

/// The file that tells why rows failed.
pub fn failures_file(order: &Order) -> String {
    std::path::Path::new(&order.output).join(FAILURES_FILE).display().to_string()
}
