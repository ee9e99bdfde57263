//! The last stage: rows to committed shards.

use std::sync::Arc;

use anyflow_datasets::{Expected, FAILURES_FILE, Failure, Features, OutputDir, ShardWriter, column_from_cells};
use anyflow_plan::order::Order;
use anyflow_plan::plan::RunPlan;
use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};

use super::causes::FailureCauses;
use super::features::{features, passes};
use super::micro_batch::MicroBatch;
use super::stage::Totals;
use crate::events::{Events, figures};
use crate::{Result, RunError};

/// The content of a finished output, including earlier runs of the same job.
pub struct RunSummary {
    /// Good rows.
    pub rows: u64,
    /// Failed rows.
    pub failed: u64,
    /// Shards.
    pub shards: u64,
}

/// Writes shards, micro-batch by micro-batch, and commits each complete shard.
pub struct OutputWriter<'a> {
    plan: &'a RunPlan,
    order: &'a Order,
    output: &'a OutputDir,
    events: &'a Events,
    /// Features of the output columns.
    features: Features,
    shard: Option<OpenShard>,
    counts: Counts,
    /// Shards and rows written by this run.
    passed: Totals,
    /// Why rows failed in this run.
    causes: FailureCauses,
}

/// An incomplete shard.
struct OpenShard {
    number: u64,
    writer: ShardWriter,
    failures: Vec<Failure>,
    rows: u64,
}

/// Numbers of rows, including earlier runs of the same job.
struct Counts {
    /// Finished rows, good or failed.
    done: u64,
    /// Committed rows, good or failed.
    committed: u64,
    /// Failed rows.
    failed: u64,
}

impl<'a> OutputWriter<'a> {
    /// Makes a writer into an output folder, which may hold shards of earlier runs. `inputs` are the features of the input
    /// columns.
    ///
    /// # Errors
    /// An output is not a column.
    pub fn new(
        plan: &'a RunPlan,
        order: &'a Order,
        output: &'a OutputDir,
        inputs: &Features,
        events: &'a Events,
    ) -> Result<Self> {
        let (good, failed) = output.progress();
        let counts = Counts { done: good + failed, committed: good + failed, failed };
        let features = features(plan, order, inputs)?;
        let (passed, causes) = Default::default();
        Ok(OutputWriter { plan, order, output, events, features, shard: None, counts, passed, causes })
    }

    /// Rows of committed shards, good or failed.
    pub fn committed(&self) -> u64 {
        self.counts.committed
    }

    /// Fails if more rows failed than `--max-failures` allows. The reasons are on disk before this returns.
    ///
    /// # Errors
    /// [`RunError::TooManyFailures`]; the disk.
    pub fn check_failures(&self) -> Result<()> {
        match self.order.max_failures {
            Some(allowed) if self.counts.failed > allowed => {
                self.output.write_failures()?;
                Err(RunError::TooManyFailures { failed: self.counts.failed, allowed, path: failures_file(self.order) })
            }
            _ => Ok(()),
        }
    }

    /// Writes the good rows of a micro-batch, and commits the shard if it is complete.
    ///
    /// # Errors
    /// The disk; more failed rows than allowed.
    pub fn write(&mut self, batch: MicroBatch) -> Result<()> {
        let _span = tracing::info_span!("write", shard = batch.shard, row = batch.first_row()).entered();
        self.passed.count(&batch);
        let number = batch.shard;
        let ends_shard = batch.ends_shard;
        let rows = batch.keys.len() as u64;
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
        failures.iter().for_each(|failure| self.causes.add(failure));
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

    /// Writes the manifest, or the record of a part, after checking that all rows that were read are written.
    ///
    /// # Errors
    /// Rows are missing; more failed rows than allowed; the disk.
    pub fn finish(&mut self, read: Totals, share: Expected) -> Result<RunSummary> {
        if self.passed != read {
            return Err(RunError::Internal(format!("{read:?} were read, but {:?} were written", self.passed)));
        }
        std::mem::take(&mut self.causes).notes().into_iter().for_each(|note| self.events.note(note));
        self.check_failures()?;
        let license = self.plan.model.license.as_deref();
        if self.order.share.is_some() {
            self.output.finish_part(share, license)?;
            let (rows, failed) = self.output.progress();
            return Ok(RunSummary { rows, failed, shards: share.shards });
        }
        let manifest = self.output.finish_under(license)?;
        Ok(RunSummary { rows: manifest.rows, failed: manifest.failures, shards: manifest.shards.len() as u64 })
    }

    /// The good rows of a micro-batch, and the failures of the others.
    fn rows(&self, mut batch: MicroBatch) -> Result<(RecordBatch, Vec<Failure>)> {
        let good: Vec<bool> = (0..batch.keys.len()).map(|row| !batch.failures.contains_key(&row)).collect();
        let mask = BooleanArray::from(good.clone());
        let input = batch.input.as_ref().map(|rows| arrow::compute::filter_record_batch(rows, &mask)).transpose()?;
        let mut fields = Vec::new();
        let mut columns: Vec<ArrayRef> = Vec::new();
        if let Some(input) = &input {
            for (field, column) in input.schema().fields().iter().zip(input.columns()) {
                if passes(self.plan, self.order, field.name()) {
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

/// The path of the file with the failures.
pub fn failures_file(order: &Order) -> String {
    std::path::Path::new(&order.output).join(FAILURES_FILE).display().to_string()
}
