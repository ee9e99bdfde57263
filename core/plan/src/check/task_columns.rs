//! Rule: the data of an evaluation have the columns that its tasks read.

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{Evaluation, ModelGraph, has_column};
use crate::problem::{CodeEntry, problems};
use crate::source::SpannedString;
use crate::spec::{TableSpec, TaskSpec};

problems! {
    /// Columns that the data of an evaluation lack.
    pub(crate) enum TaskColumnProblem {
        /// The data of an evaluation have no column for a stream or prompt that a task reads.
        /// Example: A task with `observe: [sound]` and `data` with the column of `photo` alone.
        /// Cure: Add the column to `columns` of `data`, or remove the stream from the task.
        #[error("table `data` has no column for {what} `{name}`, which task `{task}` reads")]
        TaskLacksColumn { what: &'static str, name: String, task: String },
        /// A task classifies, and the data have no class to compare with.
        /// Example: A task with `score` and `classes`, and `data` without `class`.
        /// Cure: Add `class: SOURCE.COLUMN` to `data`.
        #[error("table `data` has no column for the class (`class`), which task `{task}` reads")]
        TaskLacksClass { task: String },
        /// Judges compare what tasks generate with the class of each row, and the data have none.
        /// Example: A task with `generate: [photo]`, and `data` without `class`.
        /// Cure: Add `class: SOURCE.COLUMN` to `data`.
        #[error("`data` lacks the key `class`, with which judges compare")]
        DataLackClass {},
    }
}

pub(super) struct TaskColumns;

impl Rule for TaskColumns {
    fn evaluation(&self, evaluation: &Evaluation, report: &mut Report) {
        let spec = evaluation.spec;
        let Some(table) = &spec.data else { return };
        let generates = spec.subsets.is_some() || spec.tasks.iter().any(|task| task.score.is_none());
        if table.class.is_none() && generates {
            report.error(table.name.span, TaskColumnProblem::DataLackClass {});
        }
        for task in spec.tasks.iter().chain(&spec.conflicts) {
            read(task, table, evaluation.model, report);
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        TaskColumnProblem::codes()
    }
}

fn read(task: &TaskSpec, table: &TableSpec, model: &ModelGraph, report: &mut Report) {
    let owner = &task.name.value;
    let mut need = |what: &'static str, name: &SpannedString, is_known: bool| {
        if is_known && !has_column(table, &name.value, model) {
            let problem = TaskColumnProblem::TaskLacksColumn { what, name: name.value.clone(), task: owner.clone() };
            report.error(name.span, problem);
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
        report.error(score.stream.span, TaskColumnProblem::TaskLacksClass { task: owner.clone() });
    }
}
