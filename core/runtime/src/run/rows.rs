//! Rows of a client: the stages of a job, one micro-batch after the other, without a folder.

use anyflow_datasets::{Failure, Features, RowBatch, RowKey, row_keys};
use anyflow_plan::plan::RunPlan;
use arrow::array::RecordBatch;
use indexmap::IndexMap;

use super::compute::{Compute, Follow};
use super::cut;
use super::decode::DecodeStage;
use super::encode::{CellSource, EncodeStage};
use super::micro_batch::MicroBatch;
use super::output_rows::{OutputRows, encoded};
use crate::events::Events;
use crate::networks::Networks;
use crate::plugin::Codec;
use crate::{Result, RunError};

/// Rows of a client, and the parts of the model that runs them.
pub struct ClientRows<'a> {
    /// The pipeline.
    pub plan: &'a RunPlan,
    /// Number of rows.
    pub rows: u64,
    /// Number of the first one.
    pub first_row: u64,
    /// Column of row keys, if the client names one.
    pub key: Option<&'a str>,
    /// The rows; `None` for a pipeline without inputs.
    pub input: Option<&'a RecordBatch>,
    /// Codec of each stream and prompt.
    pub codecs: &'a IndexMap<String, Codec>,
    /// The networks.
    pub networks: &'a Networks,
    /// Threads of codecs.
    pub threads: usize,
    /// How the client follows them.
    pub follow: Follow<'a>,
}

/// The outputs of the good rows, in order, as an Arrow IPC stream, and the failures of the others.
pub struct RowsDone {
    /// The stream.
    pub bytes: Vec<u8>,
    /// Number of good rows.
    pub rows: u64,
    /// The failures.
    pub failures: Vec<Failure>,
}

/// Runs rows through a pipeline.
///
/// # Errors
/// As a job; [`RunError::Cancelled`]. Failures of single rows are part of the result.
pub fn run_rows(rows: &ClientRows<'_>, events: &Events) -> Result<RowsDone> {
    let ClientRows { plan, codecs, networks, threads, follow, .. } = *rows;
    rows.check()?;
    let features = rows.input.map(|input| Features::from_schema(&input.schema())).unwrap_or_default();
    let source = if rows.input.is_some() { CellSource::Client(&features) } else { CellSource::Nothing };
    let encoder = EncodeStage::new(plan, threads, source, codecs);
    let mut compute = Compute::start(plan, threads, networks, codecs, events)?.followed(follow);
    let decoder = DecodeStage::new(plan, threads, codecs);
    let outputs = OutputRows::new(plan, |_| false, &features)?;
    let mut done = RowsDone { bytes: Vec::new(), rows: 0, failures: Vec::new() };
    let mut good = Vec::new();
    let most = cut::micro_batch_rows(plan, rows.rows.max(1));
    for first in (0..rows.rows).step_by(most as usize) {
        let mut batch = rows.micro_batch(first, most.min(rows.rows - first))?;
        encoder.encode(&mut batch)?;
        compute.run(&mut batch)?;
        decoder.decode(&mut batch)?;
        let (part, failures) = outputs.of(batch)?;
        done.rows += part.num_rows() as u64;
        done.failures.extend(failures);
        good.push(part);
    }
    done.bytes = encoded(&outputs.features, &good)?;
    Ok(done)
}

impl ClientRows<'_> {
    fn check(&self) -> Result<()> {
        let refuse = |text: String| Err(RunError::Data(text));
        if self.first_row.checked_add(self.rows).is_none() {
            return refuse(format!("{} rows from number {} on exceed 64 bits", self.rows, self.first_row));
        }
        match self.input {
            Some(_) if self.plan.inputs.is_empty() => refuse(format!("pipeline {} has no inputs", self.plan.name)),
            None if !self.plan.inputs.is_empty() => refuse(format!("pipeline {} has inputs", self.plan.name)),
            Some(input) if input.num_rows() as u64 != self.rows => {
                refuse(format!("{} rows were announced, found {}", self.rows, input.num_rows()))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn micro_batch(&self, first: u64, rows: u64) -> Result<MicroBatch> {
        let number = self.first_row + first;
        let numbers: Vec<u64> = (number..number + rows).collect();
        let Some(input) = self.input else {
            let keys = numbers.iter().map(|row| RowKey::new(format!("#{row}"))).collect();
            return Ok(MicroBatch::new(numbers, keys, None));
        };
        let part = input.slice(first as usize, rows as usize);
        let keys = row_keys(&part, self.key, numbers.iter().copied())?;
        Ok(MicroBatch::new(numbers, keys, Some(RowBatch { first_row: number, rows: part, unreadable: Vec::new() })))
    }
}
