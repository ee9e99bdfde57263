//! Cells that every row has.

use anyflow_datasets::{Cell, OwnedCell, OwnedList};
use anyflow_plan::descriptor::CellKind;
use anyflow_plan::plan::{Constant, Form};
use serde_json::Value;
use tch::Tensor;

use crate::plugin::RowError;
use crate::{Result, RunError};

/// The array of a constant for so many rows, which share its memory: `[row, axes]`. `encode` makes that of one cell.
///
/// # Errors
/// The cell is refused.
pub fn read(
    input: &str,
    constant: &Constant,
    rows: usize,
    encode: impl FnOnce(Option<Cell<'_>>) -> Result<(Tensor, Vec<RowError>)>,
) -> Result<Tensor> {
    let wrong = |text: &str| RunError::Data(format!("cannot read `value` of input {input}, {}: {text}", constant.cell));
    let cell = cell(constant).ok_or_else(|| wrong("it is no cell of the codec"))?;
    let (array, refused) = encode(Some(cell.as_cell()))?;
    if let Some(refused) = refused.first() {
        return Err(wrong(&refused.text));
    }
    let shape: Vec<i64> = std::iter::once(rows as i64).chain(array.size().into_iter().skip(1)).collect();
    Ok(array.f_expand(shape.as_slice(), false)?)
}

fn cell(constant: &Constant) -> Option<OwnedCell> {
    let Form::Cells { cell, .. } = &constant.kind.form else { return None };
    let value = &constant.cell;
    Some(match cell {
        CellKind::Utf8 => OwnedCell::Utf8(value.as_str()?.to_string()),
        CellKind::I64 => OwnedCell::I64(value.as_i64()?),
        CellKind::F64 => OwnedCell::F64(value.as_f64()?),
        CellKind::List(1) => {
            let numbers = value.as_array()?.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>()?;
            let length = numbers.len() as u64;
            OwnedCell::List(OwnedList::new(1, numbers, vec![length])?)
        }
        CellKind::Bytes | CellKind::Files | CellKind::List(_) => return None,
    })
}
