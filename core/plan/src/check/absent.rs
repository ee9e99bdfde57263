//! Rule: what stands for an absent prompt is one thing, which its codec can read.

use crate::check::Rule;
use crate::descriptor::CellKind;
use crate::error::Report;
use crate::graph::ModelGraph;
use crate::plan::Form;
use crate::problem::{CodeEntry, problems};
use crate::spec::ModelSpec;

problems! {
    /// What can be wrong with `absent` of a prompt.
    pub(crate) enum AbsentProblem {
        /// `absent` has no key, or several.
        /// Example: `absent: {value: "", fill: 0.5}`.
        /// Cure: Keep one of `value`, `fill` and `tokens`.
        #[error("`absent` of prompt `{prompt}` needs one of `value`, `fill` and `tokens`, found {found}")]
        AbsentForm { prompt: String, found: usize },
        /// `absent` is a text, but the codec of the prompt does not read texts.
        /// Example: a codec of encoded files with `absent: {value: ""}`.
        /// Cure: Use `fill`, a number for every element of the codec's array.
        #[error("`absent` of prompt `{prompt}` has a `value`, but its codec reads no text; use `fill`")]
        AbsentText { prompt: String },
    }
}

pub(super) struct Absent;

impl Rule for Absent {
    fn model(&self, spec: &ModelSpec, model: &ModelGraph, report: &mut Report) {
        for prompt in &spec.prompts {
            let Some(absent) = &prompt.absent else { continue };
            let name = prompt.name.value.clone();
            let cells = model.prompts.get(&name).and_then(|node| node.plan.as_ref()).map(|plan| &plan.cells().form);
            let reads_text = cells.is_none_or(|form| matches!(form, Form::Cells { cell: CellKind::Utf8, .. }));
            if absent.given() != 1 {
                report.error(prompt.name.span, AbsentProblem::AbsentForm { prompt: name, found: absent.given() });
            } else if absent.value.is_some() && !reads_text {
                report.error(prompt.name.span, AbsentProblem::AbsentText { prompt: name });
            }
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        AbsentProblem::codes()
    }
}
