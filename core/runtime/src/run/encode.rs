//! The second stage: cells to arrays.

use anyflow_datasets::{CellColumn, Dataset, Features};
use anyflow_plan::plan::{Constant, Op, RunPlan};
use arrow::array::RecordBatch;
use indexmap::IndexMap;
use tch::Tensor;

use super::constant;
use super::micro_batch::MicroBatch;
use crate::cells::{numbers_of, read_cells, read_numbers};
use crate::plugin::{Codec, watch};
use crate::{Result, RunError};

/// Where the cells of input rows come from.
#[derive(Clone, Copy)]
pub enum CellSource<'a> {
    /// The plan has no inputs.
    Nothing,
    /// Rows of a dataset, which may name files in its folder.
    Dataset(&'a Dataset),
    /// Rows of a client with these features. They hold the bytes of their files: a path in them is refused.
    Client(&'a Features),
}

impl CellSource<'_> {
    fn cells(self, rows: &RecordBatch, column: &str) -> Result<CellColumn> {
        let missing = || RunError::Data(format!("the rows have no column `{column}`, which the pipeline reads"));
        match self {
            CellSource::Nothing => Err(RunError::Internal(format!("column {column} has no source"))),
            CellSource::Dataset(dataset) => Ok(dataset.cells(rows, column)?),
            CellSource::Client(features) => {
                let feature = features.get(column).ok_or_else(missing)?;
                let cells = CellColumn::new(rows.column_by_name(column).ok_or_else(missing)?, feature)?;
                Ok(cells.with_origin(column, None))
            }
        }
    }
}

/// Encodes the input cells of micro-batches.
pub struct EncodeStage<'a> {
    plan: &'a RunPlan,
    source: CellSource<'a>,
    codecs: &'a IndexMap<String, Codec>,
    threads: usize,
}

impl<'a> EncodeStage<'a> {
    /// Makes the encoder of a plan, whose codecs use `threads` threads.
    pub fn new(plan: &'a RunPlan, threads: usize, source: CellSource<'a>, codecs: &'a IndexMap<String, Codec>) -> Self {
        EncodeStage { plan, source, codecs, threads }
    }

    /// Encodes each input column to an array.
    ///
    /// # Errors
    /// A codec failed as a whole; if it refuses a cell, only that row fails.
    pub fn encode(&self, batch: &mut MicroBatch) -> Result<()> {
        let _span = tracing::info_span!("encode", shard = batch.shard, row = batch.first_row()).entered();
        for step in &self.plan.steps {
            let (Op::ReadCells { from, to, .. } | Op::ReadNumbers { from, to, .. }) = &step.op else { continue };
            if let Some(constant) = self.plan.constants.get(from) {
                let array = watch::in_node(&step.node, || self.constant(&step.op, from, constant, batch.keys.len()))?;
                batch.values.insert(to.clone(), array);
                continue;
            }
            // Cells that a node makes are read by the compute stage.
            let Some(input) = self.plan.inputs.get(from) else { continue };
            let no_rows = || RunError::Internal(format!("step {} has no input rows", step.node));
            let cells = self.source.cells(batch.input.as_ref().ok_or_else(no_rows)?, &input.column)?;
            let (array, failed) = watch::in_node(&step.node, || self.array(&step.op, cells))?;
            for (row, text) in failed {
                batch.fail(row, &step.node, "cell", format!("column {}: {text}", input.column));
            }
            batch.values.insert(to.clone(), array);
        }
        Ok(())
    }

    /// The array of a constant.
    fn constant(&self, op: &Op, input: &str, constant: &Constant, rows: usize) -> Result<Tensor> {
        constant::read(input, constant, rows, |cell| match op {
            Op::ReadNumbers { numbers, .. } => numbers_of(std::iter::once(Ok(cell)), *numbers),
            Op::ReadCells { stream, .. } => self.codecs[stream].encode(&[cell], 1),
            _ => Err(RunError::Internal("a step that reads no cells".into())),
        })
    }

    /// The array of a column, and the rows without one, with the reasons.
    fn array(&self, op: &Op, cells: CellColumn) -> Result<(Tensor, Vec<(usize, String)>)> {
        let (array, failed) = match op {
            Op::ReadNumbers { numbers, .. } => read_numbers(&cells, *numbers)?,
            Op::ReadCells { stream, .. } => read_cells(&self.codecs[stream], cells, self.threads)?,
            _ => return Err(RunError::Internal("a step that reads no cells".into())),
        };
        Ok((array, failed.into_iter().map(|failed| (failed.row, failed.text)).collect()))
    }
}
