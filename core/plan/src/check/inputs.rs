//! Rule: the dataset has the columns that a plan reads, with cells of the right kind.

use crate::descriptor::CellKind;
use crate::error::Report;
use crate::plan::{Form, RunPlan};
use crate::problem::{Hint, Problem};
use crate::source::Span;
use crate::spec::PipelineSpec;

/// Compares the columns that the plan reads with those of the dataset. Errors point to the column in the pipeline.
pub(crate) fn check(
    plan: &RunPlan,
    spec: Option<&PipelineSpec>,
    columns: &[(String, Option<CellKind>)],
    report: &mut Report,
) {
    for (name, input) in &plan.inputs {
        let Form::Cells { cell, .. } = &input.kind.form else { continue };
        let at = position(name, spec);
        let column = input.column.clone();
        let input = name.clone();
        match columns.iter().find(|(known, _)| *known == column) {
            None => {
                let hint = Hint::among(&column, columns.iter().map(|(known, _)| known.as_str()));
                report.error(at, Problem::NoSuchColumn { input, column, hint });
            }
            Some((_, found)) if *found != Some(*cell) => {
                let found = found.map_or("another kind".into(), |kind| kind.to_string());
                report.error(at, Problem::WrongCells { input, column, wanted: cell.to_string(), found });
            }
            Some(_) => {}
        }
    }
}

/// The position of the column of an input.
fn position(name: &str, spec: Option<&PipelineSpec>) -> Span {
    let input = spec.and_then(|spec| spec.inputs.iter().find(|input| input.name.value == name));
    input.map(|input| input.column.span).unwrap_or_default()
}
