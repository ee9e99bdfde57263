//! Rule: the dataset has the columns that a plan reads, with cells of the right kind.

use crate::descriptor::CellKind;
use crate::error::{Errors, Report};
use crate::plan::{Form, RunPlan};
use crate::problem::{Hint, Problem};
use crate::source::Span;

/// Checks the columns of a dataset against the inputs of a plan; a column whose kind is `None` is of no kind that a
/// codec reads.
///
/// # Errors
/// A column that is missing, or whose cells are of another kind. The place is the plan's source as a whole.
pub fn check_inputs(plan: &RunPlan, columns: &[(String, Option<CellKind>)]) -> Result<(), Errors> {
    let mut report = Report::default();
    for (name, input) in &plan.inputs {
        let Form::Cells { cell, .. } = &input.kind.form else { continue };
        let (input_name, column) = (name.clone(), input.column.clone());
        match columns.iter().find(|(known, _)| *known == column) {
            None => {
                let hint = Hint::among(&column, columns.iter().map(|(known, _)| known.as_str()));
                report.error(Span::default(), Problem::NoSuchColumn { input: input_name, column, hint });
            }
            Some((_, found)) if *found != Some(*cell) => {
                let found = found.map_or("another kind".into(), |kind| kind.to_string());
                let wanted = cell.to_string();
                report.error(Span::default(), Problem::WrongCells { input: input_name, column, wanted, found });
            }
            Some(_) => {}
        }
    }
    if !report.failed() {
        return Ok(());
    }
    let source = crate::source::Source::new(plan.source.clone(), "");
    Err(report.into_errors(&[&source], 1))
}
