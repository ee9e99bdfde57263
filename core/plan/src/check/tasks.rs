//! Rule: a task generates something, a conflict is between two prompts, and values have the shape of their stream. A
//! prompt that a conflict names twice is reported as any name that is given twice.

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{Evaluation, ModelGraph};
use crate::problem::{CodeEntry, Problem, problems};
use crate::source::SpannedString;
use crate::spec::TaskSpec;

problems! {
    /// What can be wrong with a single task.
    pub(crate) enum OneTaskProblem {
        /// A task neither generates a stream nor classifies.
        /// Example: `generate: []`.
        /// Cure: List a stream under `generate`, or add `score`.
        #[error("`generate` of task `{task}` must list at least one stream, found none")]
        GeneratesNothing { task: String },
        /// A conflict measures which of two prompts wins, and it names fewer or more.
        /// Example: `between: [words]`.
        /// Cure: List two prompts.
        #[error("`between` of conflict `{conflict}` must list two prompts, found {found}")]
        ConflictPrompts { conflict: String, found: usize },
        /// A stream takes values from a stream with another array.
        /// Example: `start: {photo: sound}`.
        /// Cure: Name a stream whose codec makes the same array.
        #[error("arrays do not match: stream `{stream}` holds {wanted}, but `{from}`, from which it has values, holds {found}")]
        ValueArray { stream: String, wanted: String, from: String, found: String },
        /// A mask has another shape than the latent of its stream.
        /// Example: `observe: {photo: {from: photo, mask: label}}`, where the latents are [24] and [8].
        /// Cure: Name a stream whose latent has the shape that the message names.
        #[error(
            "shapes do not match: stream `{stream}` has a latent of shape {wanted:?}, but `{mask}`, its mask, has a latent of \
             shape {found:?}"
        )]
        MaskShape { stream: String, wanted: Vec<i64>, mask: String, found: Vec<i64> },
    }
}

pub(super) struct Tasks;

impl Rule for Tasks {
    fn evaluation(&self, evaluation: &Evaluation, report: &mut Report) {
        let spec = evaluation.spec;
        for task in spec.tasks.iter().chain(&spec.conflicts) {
            if task.score.is_none() && task.roles.generate.is_empty() {
                let problem = OneTaskProblem::GeneratesNothing { task: task.name.value.clone() };
                report.error(task.name.span, problem);
            }
        }
        spec.conflicts.iter().for_each(|conflict| two_prompts(conflict, report));
        evaluation.tasks().for_each(|(task, _)| values(task, evaluation.model, report));
    }

    fn codes(&self) -> Vec<CodeEntry> {
        OneTaskProblem::codes()
    }
}

fn two_prompts(conflict: &TaskSpec, report: &mut Report) {
    match conflict.roles.condition.as_slice() {
        [(one, _), (other, _)] if one.value == other.value => {
            let problem = Problem::Duplicate { what: "prompt".into(), name: one.value.clone() };
            report.error_with(other.span, problem, one.span, "first given here, in `between`");
        }
        [_, _] => {}
        prompts => {
            let (conflict, at) = (conflict.name.value.clone(), conflict.name.span);
            report.error(at, OneTaskProblem::ConflictPrompts { conflict, found: prompts.len() });
        }
    }
}

/// An observed value and an initial value have the array of their stream, a mask has its latent's shape.
fn values(task: &TaskSpec, model: &ModelGraph, report: &mut Report) {
    let plan = |name: &SpannedString| model.streams.get(&name.value)?.plan.as_ref();
    let observed = task.roles.observe.iter().map(|observed| (&observed.stream, &observed.from));
    for (stream, from) in observed.chain(task.roles.start.iter().map(|(stream, from)| (stream, from))) {
        if let (Some(wanted), Some(found)) = (plan(stream), plan(from))
            && wanted.array.elements() != found.array.elements()
        {
            let (stream, name) = (stream.value.clone(), from.value.clone());
            let (wanted, found) = (wanted.array.to_string(), found.array.to_string());
            report.error(from.span, OneTaskProblem::ValueArray { stream, wanted, from: name, found });
        }
    }
    for (observed, mask) in task.roles.masked() {
        if let (Some(wanted), Some(found)) = (plan(&observed.stream), plan(mask))
            && wanted.latent != found.latent
        {
            let (stream, name) = (observed.stream.value.clone(), mask.value.clone());
            let (wanted, found) = (wanted.latent.clone(), found.latent.clone());
            report.error(mask.span, OneTaskProblem::MaskShape { stream, wanted, mask: name, found });
        }
    }
}
