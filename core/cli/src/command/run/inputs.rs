//! What a run reads, and whether it fits the pipeline.

use std::path::PathBuf;

use anyflow_datasets::{Dataset, Feature, RowFilter, check_key};
use anyflow_plan::descriptor::CellKind;
use anyflow_plan::order::{DRAW_COLUMN, RowSelection};
use anyflow_plan::plan::{Form, Job, Model, Op, RunPlan};
use serde_json::Value;

use super::super::{columns, open, shown};
use super::kept::EVERYTHING;
use crate::compiled::Compiled;
use crate::error::{CliError, Result};

/// Cells that tell whether a column of text spells numbers.
const FIRST_CELLS: u64 = 64;

/// What a run reads.
#[derive(Default)]
pub struct Reads<'a> {
    /// Dataset files or folders.
    pub inputs: &'a [PathBuf],
    /// Maximum number of rows.
    pub rows: Option<u64>,
    /// Column of row keys.
    pub key: Option<&'a str>,
    /// Input columns that pass through to the output.
    pub keep: Option<&'a [String]>,
    /// The rows, and how often each runs.
    pub selection: RowSelection,
}

/// Checks the inputs of a pipeline against its plan.
///
/// # Errors
/// Inputs that are missing, unexpected or empty, or have wrong columns.
pub fn check(compiled: &Compiled, reads: &Reads<'_>) -> Result<()> {
    let Job::Run(plan) = &compiled.job else { return Ok(()) };
    let Reads { inputs, rows, key, keep, selection } = reads;
    let (rows, key) = (*rows, *key);
    let columns_read =
        || plan.inputs.values().map(|input| format!("`{}`", input.column)).collect::<Vec<_>>().join(", ");
    let refuse = |text: String| Err(CliError::Usage(text));
    match (plan.inputs.is_empty(), inputs.is_empty()) {
        (true, _) if *selection != RowSelection::default() => {
            return refuse(format!(
                "pipeline {} has no inputs, so --where, --skip and --draws do not apply",
                plan.name
            ));
        }
        (true, true) if rows.is_none_or(|rows| rows == 0) => {
            return refuse(format!("pipeline {} has no inputs; set the number of rows with --rows N", plan.name));
        }
        (true, true) => return Ok(()),
        (true, false) => return refuse(format!("pipeline {} has no inputs; remove --input", plan.name)),
        (false, true) => {
            return refuse(format!("pipeline {} reads {}; name a dataset with --input", plan.name, columns_read()));
        }
        (false, false) => {}
    }
    let dataset = open(inputs)?.with_files(plan.columns_read());
    if dataset.rows() == 0 || rows == Some(0) {
        return refuse(format!("there are no rows to run: {} has {}", shown(&inputs[0]), dataset.rows()));
    }
    compiled.check_inputs(&as_read(plan, &dataset)?)?;
    check_key(&dataset, key)?;
    check_selection(plan, &dataset, selection)?;
    let mut named = keep.unwrap_or_default().iter().filter(|column| *column != EVERYTHING);
    named.try_for_each(|column| Ok(dataset.column(column).map(drop)?))
}

/// Checks the condition on rows, and that the column of draws has a name of its own.
fn check_selection(plan: &RunPlan, dataset: &Dataset, selection: &RowSelection) -> Result<()> {
    if let Some(filter) = &selection.filter {
        RowFilter::parse(filter)?.check(dataset)?;
    }
    let is_taken = dataset.features().contains_key(DRAW_COLUMN) || plan.outputs.contains_key(DRAW_COLUMN);
    if selection.draws > 1 && is_taken {
        let text =
            format!("--draws adds a column `{DRAW_COLUMN}`, which is there already; rename the input column or output");
        return Err(CliError::Usage(text));
    }
    Ok(())
}

/// The columns as the codecs of a plan read them: one of integers also reads whole floats, text that spells numbers, and words
/// if it has names of classes.
///
/// # Errors
/// A column of words for a codec without names, or of lists of files for a codec of files.
fn as_read(plan: &RunPlan, dataset: &Dataset) -> Result<Vec<(String, Option<CellKind>)>> {
    let mut columns = columns(dataset);
    for step in &plan.steps {
        let Op::ReadCells { stream, from, .. } = &step.op else { continue };
        let Some(input) = plan.inputs.get(from) else { continue };
        let Form::Cells { cell, .. } = &input.kind.form else { continue };
        let Some((name, kind)) = columns.iter_mut().find(|(name, _)| *name == input.column) else { continue };
        match (cell, &kind) {
            (cell, None) => return Err(CliError::Usage(unread(dataset, name, stream, *cell)?)),
            (CellKind::I64, Some(CellKind::F64)) => *kind = Some(CellKind::I64),
            (CellKind::I64, Some(CellKind::Utf8))
                if has_class_names(&plan.model, stream) || spells_numbers(dataset, name)? =>
            {
                *kind = Some(CellKind::I64)
            }
            (CellKind::Bytes, Some(CellKind::Files)) => {
                return Err(CliError::Usage(format!(
                    "column `{name}` holds lists of files, but {stream} reads one file in each row; write a row for each \
                     file"
                )));
            }
            (CellKind::I64, Some(CellKind::Utf8)) => {
                return Err(CliError::Usage(format!(
                    "column `{name}` holds words, but `{stream}` reads class numbers; name the words in the order of their \
                     numbers in the codec of the model (`names: [...]`), or write the numbers into the column"
                )));
            }
            _ => {}
        }
    }
    Ok(columns)
}

/// What to say of a column whose type no codec reads.
fn unread(dataset: &Dataset, column: &str, stream: &str, wanted: CellKind) -> Result<String> {
    let feature = dataset.column(column)?;
    let found = feature.describe();
    let remedy = if matches!(feature, Feature::Value(name) if name == "null") {
        "no cell of it has a value".to_string()
    } else {
        format!("write it as {}", example(wanted))
    };
    Ok(format!("column `{column}` holds {found}, but `{stream}` reads cells of kind {wanted}; {remedy}"))
}

/// What a column of cells of a kind can be.
fn example(kind: CellKind) -> &'static str {
    match kind {
        CellKind::Bytes => "binary, as a record of `bytes` and `path`, or as text with the paths of the files",
        CellKind::Utf8 => "text",
        CellKind::I64 => "integers",
        CellKind::F64 => "floats",
        CellKind::List(_) => "lists of numbers",
        CellKind::Files => "lists of binary",
    }
}

/// True if one of the first cells of a column of text spells a whole number.
fn spells_numbers(dataset: &Dataset, column: &str) -> Result<bool> {
    let first = dataset.rows().min(FIRST_CELLS);
    for batch in dataset.read(Some(&[column]), 0..first, first as usize)? {
        let batch = batch?;
        let cells = dataset.cells(&batch, column)?.as_integers(&[])?;
        if (0..cells.len()).any(|row| matches!(cells.get(row), Ok(Some(_)))) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// True if the codec of a stream or prompt has names of classes.
fn has_class_names(model: &Model, stream: &str) -> bool {
    let codec = model.streams.get(stream).map(|stream| &stream.codec);
    let codec = codec.or_else(|| model.encoded(stream).map(|prompt| &prompt.codec));
    let names = codec.and_then(|codec| codec.parameters.get("names")).and_then(Value::as_array);
    names.is_some_and(|names| !names.is_empty())
}
