//! Rule: a task generates something, a conflict is between two prompts, and values have the shape of their stream.

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{Evaluation, ModelGraph};
use crate::problem::Problem;
use crate::source::SpannedString;
use crate::spec::TaskSpec;

pub(super) struct Tasks;

impl Rule for Tasks {
    fn evaluation(&self, evaluation: &Evaluation, report: &mut Report) {
        let spec = evaluation.spec;
        for task in spec.tasks.iter().chain(&spec.conflicts) {
            if task.score.is_none() && task.roles.generate.is_empty() {
                let what = format!("`generate` of task `{}`", task.name.value);
                let problem = Problem::WrongCount { what, wanted: "at least one stream".into(), found: 0 };
                report.error(task.name.span, problem);
            }
        }
        spec.conflicts.iter().for_each(|conflict| two_prompts(conflict, report));
        evaluation.tasks().for_each(|(task, _)| values(task, evaluation.model, report));
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
            let what = format!("`between` of conflict `{}`", conflict.name.value);
            let problem = Problem::WrongCount { what, wanted: "two prompts".into(), found: prompts.len() };
            report.error(conflict.name.span, problem);
        }
    }
}

/// An observed value and an initial value have the array of their stream, a mask has its latent's shape.
fn values(task: &TaskSpec, model: &ModelGraph, report: &mut Report) {
    let plan = |name: &SpannedString| model.streams.get(&name.value)?.plan.as_ref();
    let observed = task.roles.observe.iter().map(|observed| (&observed.stream, &observed.from));
    let others = task.roles.start.iter().chain(&task.roles.planes).map(|(stream, from)| (stream, from));
    for (stream, from) in observed.chain(others) {
        if let (Some(wanted), Some(found)) = (plan(stream), plan(from))
            && wanted.array.elements() != found.array.elements()
        {
            let one = format!("stream `{}` holds {}", stream.value, wanted.array);
            let other = format!("`{}`, from which it has values, holds {}", from.value, found.array);
            report.error(from.span, Problem::Mismatch { what: "arrays", one, other });
        }
    }
    for (observed, mask) in task.roles.masked() {
        if let (Some(wanted), Some(found)) = (plan(&observed.stream), plan(mask))
            && wanted.latent != found.latent
        {
            let one = format!("stream `{}` has a latent of shape {:?}", observed.stream.value, wanted.latent);
            let other = format!("`{}`, its mask, has a latent of shape {:?}", mask.value, found.latent);
            report.error(mask.span, Problem::Mismatch { what: "shapes", one, other });
        }
    }
}
