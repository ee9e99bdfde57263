//! Rule: a task generates something, a conflict is between two prompts, and initial values have the shape of their stream.

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{Evaluation, ModelGraph};
use crate::problem::Problem;
use crate::spec::TaskSpec;

pub(super) struct Tasks;

impl Rule for Tasks {
    fn evaluation(&self, evaluation: &Evaluation, report: &mut Report) {
        let spec = evaluation.spec;
        for task in spec.tasks.iter().chain(&spec.conflicts) {
            if task.score.is_none() && task.generate.is_empty() {
                let what = format!("`generate` of task `{}`", task.name.value);
                let problem = Problem::WrongCount { what, wanted: "at least one stream".into(), found: 0 };
                report.error(task.name.span, problem);
            }
        }
        spec.conflicts.iter().for_each(|conflict| two_prompts(conflict, report));
        evaluation.tasks().for_each(|(task, _)| initial_values(task, evaluation.model, report));
    }
}

fn two_prompts(conflict: &TaskSpec, report: &mut Report) {
    match conflict.condition.as_slice() {
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

fn initial_values(task: &TaskSpec, model: &ModelGraph, report: &mut Report) {
    let array = |name: &str| model.streams.get(name)?.plan.as_ref().map(|plan| &plan.array);
    for (stream, from) in &task.start {
        if let (Some(wanted), Some(found)) = (array(&stream.value), array(&from.value))
            && wanted.elements() != found.elements()
        {
            let one = format!("stream `{}` holds {wanted}", stream.value);
            let other = format!("`{}`, from which it starts, holds {found}", from.value);
            report.error(from.span, Problem::Mismatch { what: "arrays", one, other });
        }
    }
}
