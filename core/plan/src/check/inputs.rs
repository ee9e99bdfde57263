//! Checks that a dataset has the columns that a plan reads, with cells of the right kind. The list of rules does
//! not include this check: rules check files alone, and the dataset is known only when a job runs the finished plan.

use crate::descriptor::CellKind;
use crate::error::Report;
use crate::plan::{Form, RunPlan};
use crate::problem::{Hint, problems};
use crate::source::Span;
use crate::spec::PipelineSpec;

problems! {
    /// What can be wrong with a dataset for a pipeline.
    pub(crate) enum InputProblem {
        /// The dataset lacks a column that the pipeline reads.
        /// Example: An input `photo` and a dataset without a column `photo`.
        /// Cure: Name the column with `column:` of the input, or rename it in the dataset.
        #[error("input `{input}` reads column `{column}`, which the dataset does not have{hint}")]
        NoSuchColumn { input: String, column: String, hint: Hint },
        /// A column of the dataset holds cells of another kind than the codec reads.
        /// Example: A column of strings where the codec reads bytes.
        /// Cure: Read another column, or use a codec for this kind of cells.
        #[error("input `{input}` needs cells of kind {wanted}, but column `{column}` holds {found}")]
        WrongCells { input: String, column: String, wanted: String, found: String },
    }
}

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
                report.error(at, InputProblem::NoSuchColumn { input, column, hint });
            }
            Some((_, found)) if *found != Some(*cell) => {
                let found = found.map_or("values that no codec reads".into(), |kind| kind.to_string());
                report.error(at, InputProblem::WrongCells { input, column, wanted: cell.to_string(), found });
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
