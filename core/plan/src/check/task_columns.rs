//! Rule: the data of an evaluation have the columns that its tasks read.

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{Evaluation, ModelGraph, has_column, missing_column};
use crate::problem::Problem;
use crate::source::SpannedString;
use crate::spec::{TableSpec, TaskSpec};

pub(super) struct TaskColumns;

impl Rule for TaskColumns {
    fn evaluation(&self, evaluation: &Evaluation, report: &mut Report) {
        let spec = evaluation.spec;
        let Some(table) = &spec.data else { return };
        let generates = spec.subsets.is_some() || spec.tasks.iter().any(|task| task.score.is_none());
        if table.class.is_none() && generates {
            report.error(table.name.span, Problem::MissingKey { key: "class".into(), within: "`data`".into() });
        }
        for task in spec.tasks.iter().chain(&spec.conflicts) {
            read(task, table, evaluation.model, report);
        }
    }
}

fn read(task: &TaskSpec, table: &TableSpec, model: &ModelGraph, report: &mut Report) {
    let reader = format!("task `{}`", task.name.value);
    let mut need = |what: &str, name: &SpannedString, is_known: bool| {
        if is_known && !has_column(table, &name.value, model) {
            missing_column("data", &format!("{what} `{}`", name.value), &reader, name, report);
        }
    };
    for name in task.roles.values() {
        need("stream", name, model.streams.contains_key(&name.value));
    }
    for (name, _) in &task.roles.condition {
        need("prompt", name, model.prompts.contains_key(&name.value));
    }
    // A classification needs the truth: the class of a row, or its own value of the stream.
    let Some(score) = &task.score else { return };
    if score.classes.names.is_empty() {
        need("stream", &score.stream, model.streams.contains_key(&score.stream.value));
    } else if table.class.is_none() {
        missing_column("data", "the class (`class`)", &reader, &score.stream, report);
    }
}
