//! Rows of a shard whose file has about a given size.

use anyflow_datasets::{CellKind as StoredKind, Dataset, inspect};
use anyflow_plan::descriptor::CellKind;
use anyflow_plan::plan::{Form, Op, RunPlan, Step};

use super::kept::mean_bytes;
use crate::error::Result;

/// Estimated bytes of a number, and of a text that a pipeline makes.
const NUMBER_BYTES: u64 = 8;
const TEXT_BYTES: u64 = 32;
/// Estimated bytes of an element of an array that becomes a list or a file.
const ELEMENT_BYTES: u64 = 4;

/// Rows of a shard of about `size` bytes, at least one. Columns that pass through count as they are on disk.
///
/// # Errors
/// The dataset cannot be read.
pub fn shard_rows(size: u64, plan: &RunPlan, dataset: Option<&Dataset>, keep: Option<&[String]>) -> Result<u64> {
    let mut row = 0;
    if let Some(dataset) = dataset {
        let on_disk = inspect(dataset).columns;
        for column in on_disk {
            let is_kept =
                keep.is_none_or(|keep| keep.contains(&column.name)) && !plan.outputs.contains_key(&column.name);
            let is_output =
                plan.outputs.values().any(|id| plan.inputs.get(id).is_some_and(|of| of.column == column.name));
            if is_kept || is_output {
                let is_file =
                    matches!(dataset.column(&column.name)?.cell(), Some(StoredKind::Bytes | StoredKind::Files));
                // Files that cells only name are embedded.
                let linked = if is_file { mean_bytes(dataset, &column.name)? } else { 0 };
                row += (column.compressed_bytes / dataset.rows().max(1)).max(linked);
            }
        }
    }
    row += plan.outputs.values().map(|id| bytes_of(plan, id)).sum::<u64>();
    Ok((size / row.max(1)).max(1))
}

/// Estimated bytes of a value that the pipeline makes; 0 for an input.
fn bytes_of(plan: &RunPlan, id: &str) -> u64 {
    let Some(value) = plan.values.get(id).filter(|value| value.made_by.is_some()) else { return 0 };
    match &value.kind.form {
        Form::Cells { cell: CellKind::I64 | CellKind::F64, .. } => NUMBER_BYTES,
        Form::Cells { cell: CellKind::Utf8, .. } => TEXT_BYTES,
        _ => ELEMENT_BYTES * elements_of(plan, id),
    }
}

/// Elements of the array, the latent, the features or the scores that a value is written from.
fn elements_of(plan: &RunPlan, id: &str) -> u64 {
    let from = plan.steps.iter().find_map(|step| match &step.op {
        Op::WriteCells { from, to, .. } | Op::WriteNumbers { from, to, .. } if to == id => Some(from.as_str()),
        _ => None,
    });
    let from = from.unwrap_or(id);
    let elements = match plan.values.get(from).map(|value| &value.kind.form) {
        Some(
            Form::Array { shape, .. }
            | Form::Latent { shape, .. }
            | Form::Tokens { shape, .. }
            | Form::Vector { shape, .. },
        ) => shape.iter().product(),
        _ => plan.steps.iter().find_map(|step| scored(plan, step, from)).unwrap_or(1),
    };
    elements.unsigned_abs()
}

/// The length of a step's list of features or scores, if a value is such a list.
fn scored(plan: &RunPlan, step: &Step, id: &str) -> Option<i64> {
    let is_it = |made: &Option<String>| made.as_deref() == Some(id);
    match &step.op {
        Op::Judge { scores, .. } if is_it(scores) => Some(plan.scorers.get(&step.node)?.classes),
        Op::Judge { features, .. } if is_it(features) => {
            plan.scorers.get(&step.node)?.features.as_ref().map(|shape| shape.iter().product())
        }
        Op::Score { scoring, scores, .. } if is_it(scores) => Some(scoring.classes.len() as i64),
        Op::Compare { classes, scores, .. } if is_it(scores) => Some(classes.len().max(1) as i64),
        _ => None,
    }
}
