//! The fourth stage: arrays to cells.

use anyflow_config::Dtype;
use anyflow_datasets::{OwnedCell, OwnedList};
use anyflow_plan::plan::{Op, RunPlan};
use indexmap::IndexMap;
use tch::{Device, Kind, Tensor};

use super::micro_batch::{FailedRows, MicroBatch};
use crate::cells::write_cells;
use crate::plugin::{Codec, watch};
use crate::{Result, RunError};

/// Decodes the output values of micro-batches.
pub struct DecodeStage<'a> {
    plan: &'a RunPlan,
    codecs: &'a IndexMap<String, Codec>,
    threads: usize,
}

/// A cell per row; `None` for failed rows.
pub(super) type Cells = Vec<Option<OwnedCell>>;

impl<'a> DecodeStage<'a> {
    /// Makes the decoder of a plan, whose codecs use `threads` threads.
    pub fn new(plan: &'a RunPlan, threads: usize, codecs: &'a IndexMap<String, Codec>) -> Self {
        DecodeStage { plan, codecs, threads }
    }

    /// Decodes the outputs to cells, and drops all values.
    ///
    /// # Errors
    /// A codec failed as a whole; if it refuses a row, only that row fails.
    pub fn decode(&self, batch: &mut MicroBatch) -> Result<()> {
        let _span = tracing::info_span!("decode", shard = batch.shard, row = batch.first_row()).entered();
        for step in &self.plan.steps {
            match &step.op {
                // A later node has read these cells already.
                Op::WriteCells { to, .. } if batch.cells.contains_key(to) => {}
                Op::WriteCells { stream, from, to } => {
                    let cells = self.written(batch, &step.node, stream, from)?;
                    batch.cells.insert(to.clone(), cells);
                }
                Op::WriteNumbers { from, to, dtype } => {
                    let mut numbers = rounded(value(batch, from)?, *dtype)?;
                    if *dtype != Dtype::F32 {
                        let text = format!("a number of `{from}` is out of the range of {dtype}; write f32");
                        numbers = batch.fail_infinite(numbers, FailedRows { node: &step.node, code: "write", text })?;
                    }
                    let cells = number_cells(&numbers)?;
                    batch.cells.insert(to.clone(), cells);
                }
                Op::Score { scoring, label, scores, .. } => {
                    let names: Vec<String> = scoring.classes.keys().cloned().collect();
                    classified(batch, &names, label.as_ref(), self.output(scores))?;
                }
                Op::Compare { classes, label, scores, .. } => {
                    let names: Vec<String> = classes.keys().cloned().collect();
                    classified(batch, &names, label.as_ref(), self.output(scores))?;
                }
                Op::Judge { names, label, scores, features, .. } => {
                    classified(batch, names, label.as_ref(), self.output(scores))?;
                    numbered(batch, self.output(features))?;
                }
                _ => {}
            }
        }
        batch.values.clear();
        Ok(())
    }

    /// The id of a value that is an output as it is; `None` if only another step reads it.
    fn output<'p>(&self, id: &'p Option<String>) -> Option<&'p String> {
        id.as_ref().filter(|id| self.plan.outputs.values().any(|output| output == *id))
    }

    fn written(&self, batch: &mut MicroBatch, node: &str, stream: &str, from: &str) -> Result<Cells> {
        let array = value(batch, from)?;
        let (cells, failed) = watch::in_node(node, || write_cells(&self.codecs[stream], array, self.threads))?;
        failed.into_iter().for_each(|failed| batch.fail(failed.row, node, "write", failed.text));
        Ok(cells)
    }
}

/// The f32 numbers that a column of a number type can hold; infinite if out of its range.
fn rounded(numbers: &Tensor, dtype: Dtype) -> Result<Tensor> {
    let kind = match dtype {
        Dtype::F32 => return Ok(numbers.shallow_clone()),
        Dtype::F16 => Kind::Half,
        Dtype::Bf16 => Kind::BFloat16,
    };
    Ok(numbers.f_to_kind(kind)?.f_to_kind(Kind::Float)?)
}

fn value<'b>(batch: &'b MicroBatch, id: &str) -> Result<&'b Tensor> {
    batch.values.get(id).ok_or_else(|| RunError::Internal(format!("value {id} is missing")))
}

/// A value of the batch with its id, if a later step needs it.
fn made<'b, 'p>(batch: &'b MicroBatch, id: Option<&'p String>) -> Option<(&'p String, &'b Tensor)> {
    let id = id?;
    Some((id, batch.values.get(id)?))
}

/// Writes the class of each row and the numbers of all classes.
fn classified(batch: &mut MicroBatch, names: &[String], label: Option<&String>, scores: Option<&String>) -> Result<()> {
    if let Some((id, indices)) = made(batch, label) {
        let cells = class_cells(names, indices)?;
        batch.cells.insert(id.clone(), cells);
    }
    numbered(batch, scores)
}

/// Writes the numbers of each row.
fn numbered(batch: &mut MicroBatch, id: Option<&String>) -> Result<()> {
    if let Some((id, numbers)) = made(batch, id) {
        let cells = number_cells(numbers)?;
        batch.cells.insert(id.clone(), cells);
    }
    Ok(())
}

/// Class indices `[row]` -> names of the classes, or their numbers without names.
pub(super) fn class_cells(names: &[String], indices: &Tensor) -> Result<Cells> {
    let cell = |index: i64| match names.get(index as usize) {
        Some(name) => Some(OwnedCell::Utf8(name.clone())),
        None => Some(OwnedCell::I64(index)),
    };
    Ok(Vec::<i64>::try_from(indices)?.into_iter().map(cell).collect())
}

/// Numbers `[row, axes]` (f32) -> a list per row, nested by axis.
fn number_cells(numbers: &Tensor) -> Result<Cells> {
    let size = numbers.size();
    let shape = size.get(1..).unwrap_or_default();
    let flat = Vec::<f32>::try_from(numbers.f_flatten(0, -1)?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?)?;
    let mut lengths = Vec::new();
    nested_lengths(shape, &mut lengths);
    let list = |row: &[f32]| {
        let values = row.iter().map(|value| f64::from(*value)).collect();
        OwnedList::new(shape.len() as u32, values, lengths.clone()).map(OwnedCell::List)
    };
    if shape.is_empty() {
        return Ok(flat.into_iter().map(|number| Some(OwnedCell::F64(number.into()))).collect());
    }
    let elements = shape.iter().product::<i64>().max(1) as usize;
    Ok(flat.chunks(elements).map(list).collect())
}

/// The lengths of an array of this shape, in the layout of a [`List`](anyflow_datasets::List).
fn nested_lengths(shape: &[i64], lengths: &mut Vec<u64>) {
    let Some((length, rest)) = shape.split_first() else { return };
    lengths.push(*length as u64);
    if !rest.is_empty() {
        (0..*length).for_each(|_| nested_lengths(rest, lengths));
    }
}

#[cfg(test)]
mod tests {
    use anyflow_datasets::{Cell, RowKey};

    use super::*;

    fn shown(numbers: &Tensor) -> Vec<String> {
        let cells = number_cells(numbers).unwrap();
        let shown = |cell: &OwnedCell| match cell.as_cell() {
            Cell::List(list) => format!("{list:?}"),
            other => format!("{other:?}"),
        };
        cells.iter().map(|cell| shown(cell.as_ref().unwrap())).collect()
    }

    #[test]
    fn the_axes_of_a_row_become_nested_lists() {
        let numbers = Tensor::arange(12, (Kind::Float, Device::Cpu));
        assert_eq!(shown(&numbers.view([2, 6])), ["[0, 1, 2, 3, 4, 5]", "[6, 7, 8, 9, 10, 11]"]);
        assert_eq!(shown(&numbers.view([2, 3, 2])), ["[[0, 1], [2, 3], [4, 5]]", "[[6, 7], [8, 9], [10, 11]]"]);
        assert_eq!(shown(&numbers.view([1, 2, 2, 3])), ["[[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]]"]);
        assert_eq!(shown(&numbers.slice(0, 0, 2, 1)), ["F64(0.0)", "F64(1.0)"]);
        let halves = numbers.view([3, 4]).to_kind(Kind::Half);
        assert_eq!(shown(&halves)[2], "[8, 9, 10, 11]");
        assert!(shown(&numbers.view([2, 6]).slice(0, 0, 0, 1)).is_empty());
    }

    #[test]
    fn numbers_are_rounded_to_the_type_of_the_column() {
        let numbers = Tensor::from_slice(&[0.1f32, 1e-9, -65519.0]);
        let of = |dtype| Vec::<f32>::try_from(rounded(&numbers, dtype).unwrap()).unwrap();
        assert_eq!(of(Dtype::F32), [0.1, 1e-9, -65519.0]);
        assert_eq!(of(Dtype::F16), [0.099_975_586, 0.0, -65504.0]);
        assert_eq!(of(Dtype::Bf16), [0.100_097_656, 9.968_062e-10, -65536.0]);
    }

    #[test]
    fn a_row_out_of_the_range_of_its_type_fails_alone() {
        let keys = (0..3).map(|row| RowKey::new(format!("k{row}"))).collect();
        let mut batch = MicroBatch::new(vec![7, 8, 9], keys, None);
        let numbers = Tensor::from_slice(&[1.0f32, 2.0, 65520.0, 3.0, -4.0, 5.0]).view([3, 2]);
        let because = FailedRows { node: "seen", code: "write", text: "too large".into() };
        let kept = batch.fail_infinite(rounded(&numbers, Dtype::F16).unwrap(), because).unwrap();
        assert_eq!(shown(&kept), ["[1, 2]", "[0, 0]", "[-4, 5]"]);
        let failed: Vec<_> = batch.failures.values().map(|failure| (failure.row, failure.row_key.as_str())).collect();
        assert_eq!(failed, [(8, "k1")]);
    }
}
