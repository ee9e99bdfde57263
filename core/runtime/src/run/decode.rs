//! The fourth stage: arrays to cells.

use anyflow_datasets::{OwnedCell, OwnedList};
use anyflow_plan::order::Order;
use anyflow_plan::plan::{Op, RunPlan, Scoring};
use indexmap::IndexMap;
use tch::Tensor;

use super::micro_batch::MicroBatch;
use crate::plugin::{Codec, watch};
use crate::{Result, RunError};

/// Decodes the output values of micro-batches.
pub struct DecodeStage<'a> {
    plan: &'a RunPlan,
    codecs: &'a IndexMap<String, Codec>,
    threads: usize,
}

/// A cell per row; `None` for failed rows.
type Cells = Vec<Option<OwnedCell>>;

impl<'a> DecodeStage<'a> {
    /// Makes the decoder of a plan.
    pub fn new(plan: &'a RunPlan, order: &Order, codecs: &'a IndexMap<String, Codec>) -> Self {
        DecodeStage { plan, codecs, threads: order.threads as usize }
    }

    /// Decodes the outputs to cells, and drops all values.
    ///
    /// # Errors
    /// A codec failed as a whole; if it refuses a row, only that row fails.
    pub fn decode(&self, batch: &mut MicroBatch) -> Result<()> {
        let _span = tracing::info_span!("decode", shard = batch.shard, row = batch.first_row).entered();
        for step in &self.plan.steps {
            match &step.op {
                Op::WriteCells { stream, from, to } => {
                    let cells = self.written(batch, &step.node, stream, from)?;
                    batch.cells.insert(to.clone(), cells);
                }
                Op::Score { scoring, label, scores, .. } => {
                    if let Some((id, numbers)) = made(batch, label.as_ref()) {
                        let cells = label_cells(scoring, numbers)?;
                        batch.cells.insert(id.clone(), cells);
                    }
                    if let Some((id, cosines)) = made(batch, scores.as_ref()) {
                        let cells = score_cells(scoring, cosines)?;
                        batch.cells.insert(id.clone(), cells);
                    }
                }
                _ => {}
            }
        }
        batch.values.clear();
        Ok(())
    }

    fn written(&self, batch: &mut MicroBatch, node: &str, stream: &str, from: &str) -> Result<Cells> {
        let array = batch.values.get(from);
        let array = array.ok_or_else(|| RunError::Internal(format!("value {from} is missing")))?;
        let decoded = watch::in_node(node, || self.codecs[stream].decode(array, self.threads))?;
        let cell = |(row, cell): (usize, std::result::Result<OwnedCell, String>)| match cell {
            Ok(cell) => Some(cell),
            Err(text) => {
                batch.fail(row, node, "write", text);
                None
            }
        };
        Ok(decoded.into_iter().enumerate().map(cell).collect())
    }
}

/// A value of the batch with its id, if a later step needs it.
fn made<'b, 'p>(batch: &'b MicroBatch, id: Option<&'p String>) -> Option<(&'p String, &'b Tensor)> {
    let id = id?;
    Some((id, batch.values.get(id)?))
}

/// Class indices `[row]` -> names of the classes.
fn label_cells(scoring: &Scoring, numbers: &Tensor) -> Result<Cells> {
    let name = |number: i64| scoring.classes.get_index(number as usize).map(|(name, _)| OwnedCell::Utf8(name.clone()));
    Ok(Vec::<i64>::try_from(numbers)?.into_iter().map(name).collect())
}

/// Scores `[row, class]` -> a list of numbers per row.
fn score_cells(scoring: &Scoring, scores: &Tensor) -> Result<Cells> {
    let flat = Vec::<f32>::try_from(scores.f_flatten(0, -1)?)?;
    let list = |row: &[f32]| {
        let values = row.iter().map(|value| f64::from(*value)).collect();
        OwnedList::new(1, values, vec![row.len() as u64]).map(OwnedCell::List)
    };
    Ok(flat.chunks(scoring.classes.len().max(1)).map(list).collect())
}
