//! The second stage: cells to arrays.

use anyflow_datasets::Dataset;
use anyflow_plan::order::Order;
use anyflow_plan::plan::{Op, RunPlan};
use indexmap::IndexMap;

use super::batch::Batch;
use crate::plugin::{Codec, watch};
use crate::{Result, RunError, session};

/// Encodes the input cells of batches.
pub struct Encoder<'a> {
    plan: &'a RunPlan,
    dataset: Option<&'a Dataset>,
    codecs: &'a IndexMap<String, Codec>,
    threads: usize,
}

impl<'a> Encoder<'a> {
    /// An encoder of rows of `dataset`, if the plan has inputs.
    pub fn new(
        plan: &'a RunPlan,
        order: &Order,
        dataset: Option<&'a Dataset>,
        codecs: &'a IndexMap<String, Codec>,
    ) -> Self {
        Encoder { plan, dataset, codecs, threads: order.threads as usize }
    }

    /// Makes an array of each input column that a codec reads.
    ///
    /// # Errors
    /// A codec failed as a whole; a cell that it refuses is a failure of its row.
    pub fn encode(&self, batch: &mut Batch) -> Result<()> {
        let _span = tracing::info_span!("encode", shard = batch.shard, row = batch.first_row).entered();
        for step in &self.plan.steps {
            let Op::ReadCells { stream, from, to } = &step.op else { continue };
            let input = self.plan.inputs.get(from).ok_or_else(|| {
                RunError::Internal(format!("step {} reads cells of {from}, which is no input", step.node))
            })?;
            let (Some(dataset), Some(rows)) = (self.dataset, &batch.input) else {
                return Err(RunError::Internal(format!("step {} has no dataset", step.node)));
            };
            let cells = dataset.cells(rows, &input.column)?;
            let codec = &self.codecs[stream];
            let (array, failed) = watch::in_node(&step.node, || session::read_cells(codec, &cells, self.threads))?;
            for failed in failed {
                batch.fail(failed.row, &step.node, "cell", format!("column {}: {}", input.column, failed.text));
            }
            batch.values.insert(to.clone(), array);
        }
        Ok(())
    }
}
