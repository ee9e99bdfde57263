//! Rule: the value of an input is a cell of its codec, and no output is such a value.

use petgraph::visit::EdgeRef;
use serde_json::Value as Json;

use crate::check::Rule;
use crate::descriptor::CellKind;
use crate::error::Report;
use crate::graph::{Pipeline, Vertex};
use crate::plan::{Form, Type};
use crate::problem::{CodeEntry, problems};
use crate::spec::InputSpec;

problems! {
    /// What can be wrong with the value of an input.
    pub(crate) enum ConstantProblem {
        /// The codec of an input cannot read its value.
        /// Example: `value: 3` where a codec reads texts.
        /// Cure: Write a value of the form that the message names, or read a column.
        #[error("`value` of input `{input}` must be {wanted}, found {found}")]
        WrongValue { input: String, wanted: &'static str, found: String },
        /// An input with a value has cells that no text of a pipeline can be: bytes, files, or lists of lists.
        /// Example: `inputs: {photo: {modality: picture, value: cat.png}}`, where the codec reads files.
        /// Cure: Remove `value`, and read a column.
        #[error("input `{input}` cannot have a `value`: cells of kind {cell} come from a column")]
        ValueOfColumn { input: String, cell: CellKind },
        /// An output is an input with a value. It would be the same in every row.
        /// Example: `outputs: {text: words}` with `inputs: {words: {modality: text, value: none}}`.
        /// Cure: Remove the output.
        #[error("output `{output}` is the `value` of input `{input}`, the same in every row; remove it")]
        ConstantOutput { output: String, input: String },
    }
}

pub(super) struct Constants;

impl Rule for Constants {
    fn pipeline(&self, pipeline: &Pipeline, report: &mut Report) {
        let Pipeline { graph, inputs, .. } = pipeline;
        for (input, kind) in graph.spec.inputs.iter().zip(inputs) {
            if let (Some(value), Some(kind)) = (&input.value, kind)
                && let Some(problem) = problem(&input.name.value, &value.value, kind)
            {
                report.error(value.span, problem);
            }
        }
        for edge in graph.edges.edge_references() {
            let (Vertex::Input(input), Vertex::Output(_)) = (graph.edges[edge.source()], graph.edges[edge.target()])
            else {
                continue;
            };
            let InputSpec { name, value, .. } = &graph.spec.inputs[input];
            if value.is_some() {
                let output = graph.name(graph.edges[edge.target()]);
                let problem =
                    ConstantProblem::ConstantOutput { output: output.value.clone(), input: name.value.clone() };
                report.error(edge.weight().written.span, problem);
            }
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        ConstantProblem::codes()
    }
}

/// What is wrong with a value, if its codec does not read it.
fn problem(input: &str, value: &Json, kind: &Type) -> Option<ConstantProblem> {
    let Form::Cells { cell, .. } = &kind.form else { return None };
    let is_list = |items: &Vec<Json>| !items.is_empty() && items.iter().all(Json::is_number);
    let input = input.to_string();
    let (wanted, fits) = match cell {
        CellKind::Utf8 => ("a text", value.is_string()),
        CellKind::I64 => ("a whole number", value.is_i64()),
        CellKind::F64 => ("a number", value.is_number()),
        CellKind::List(1) => ("a list of numbers", value.as_array().is_some_and(is_list)),
        CellKind::Bytes | CellKind::Files | CellKind::List(_) => {
            return Some(ConstantProblem::ValueOfColumn { input, cell: *cell });
        }
    };
    (!fits).then(|| ConstantProblem::WrongValue { input, wanted, found: value.to_string() })
}
