//! Rule: a task generates something, a conflict is between two prompts, and values have the shape of their stream. A
//! prompt that a conflict names twice is reported as any name that is given twice.

use crate::check::Rule;
use crate::check::types::{masks, of_one_channel};
use crate::error::Report;
use crate::graph::{Evaluation, ModelGraph, plan_of};
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
        /// What hides a part of a plane has more than one channel, or another size than the array of the plane.
        /// Example: `planes: {photo: {from: photo, hide: photo}}`, where the arrays are [3, 64, 64].
        /// Cure: Name a stream whose array has the shape that the message names.
        #[error("`hide` of plane `{plane}` needs a stream with an array of shape {wanted:?}; that of `{mask}` is {found:?}")]
        HiddenShape { plane: String, wanted: Vec<i64>, mask: String, found: Vec<i64> },
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
        for (task, _) in evaluation.tasks() {
            values(task, evaluation.model, report);
            hidden(task, evaluation.model, report);
        }
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

/// What hides a part of a plane has an array of one channel, of the size of the plane's.
fn hidden(task: &TaskSpec, model: &ModelGraph, report: &mut Report) {
    let array = |name: &SpannedString| plan_of(model, &name.value)?.array.elements().map(|(shape, _)| shape.to_vec());
    for plane in &task.roles.planes {
        let Some(mask) = &plane.mask else { continue };
        let (Some(own), Some(found)) = (array(&plane.stream), array(mask)) else { continue };
        let wanted = of_one_channel(&own);
        if wanted != found {
            let (plane, name) = (plane.stream.value.clone(), mask.value.clone());
            report.error(mask.span, OneTaskProblem::HiddenShape { plane, wanted, mask: name, found });
        }
    }
}

/// An observed value, an initial value and a plane have the array of their stream, a mask has its latent's shape.
fn values(task: &TaskSpec, model: &ModelGraph, report: &mut Report) {
    let plan = |name: &SpannedString| plan_of(model, &name.value);
    let given = task.roles.observe.iter().chain(&task.roles.planes).map(|spec| (&spec.stream, &spec.from));
    for (stream, from) in given.chain(task.roles.start.iter().map(|(stream, from)| (stream, from))) {
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
            && !masks(&found.latent, &wanted.latent)
        {
            let (stream, name) = (observed.stream.value.clone(), mask.value.clone());
            let (wanted, found) = (wanted.latent.clone(), found.latent.clone());
            report.error(mask.span, OneTaskProblem::MaskShape { stream, wanted, mask: name, found });
        }
    }
}
