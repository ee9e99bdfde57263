//! The tasks of an evaluation: one denoiser, and the streams of each task by role.

use indexmap::IndexMap;

use crate::error::Report;
use crate::graph::references::check_references;
use crate::graph::subsets::add_subsets;
use crate::graph::{ModelGraph, choose_denoiser, known_streams, resolve_roles, resolve_scoring};
use crate::plan::{Roles, Task};
use crate::problem::problems;
use crate::source::SpannedString;
use crate::spec::{EvaluationSpec, InsteadSpec, TaskSpec, unknown};

problems! {
    /// What can be wrong with the tasks of an evaluation.
    pub(crate) enum TaskProblem {
        /// An evaluation has nothing to do.
        /// Example: A file with `judges` but without `tasks`.
        /// Cure: Add `tasks`, or `subsets: true`.
        #[error("the evaluation has no tasks; add `tasks` or `subsets: true`")]
        NoTasks {},
    }
}

/// The tasks of an evaluation that could be resolved, and their denoiser.
pub(crate) struct Asked {
    pub denoiser: String,
    pub tasks: IndexMap<String, Task>,
    pub conflicts: IndexMap<String, Task>,
}

/// Resolves all tasks and conflicts, and their denoiser.
pub(super) fn resolve_tasks(spec: &EvaluationSpec, model: &ModelGraph, report: &mut Report) -> Option<Asked> {
    let all: Vec<&TaskSpec> = spec.tasks.iter().chain(&spec.conflicts).collect();
    if all.is_empty() && spec.subsets.is_none() {
        // A task that cannot be read was reported.
        if !report.failed() {
            report.error(spec.span, TaskProblem::NoTasks {});
        }
        return None;
    }
    let written: Vec<_> = all.iter().map(|task| task.roles.written()).collect();
    let known: Vec<bool> = written.iter().map(|lists| known_streams(lists, model, report)).collect();
    let mut named: Vec<&SpannedString> = Vec::new();
    for (lists, _) in written.iter().zip(&known).filter(|(_, known)| **known) {
        for stream in lists.iter().flat_map(|(_, streams)| streams) {
            if !named.iter().any(|known| known.value == stream.value) {
                named.push(stream);
            }
        }
    }
    if spec.subsets.is_some() {
        let known = |stream: &&SpannedString| model.streams.contains_key(&stream.value);
        named.extend(spec.judges.iter().map(|judge| &judge.stream).filter(known));
    }
    let owner = all.first().map_or(spec.span, |task| task.name.span);
    let denoiser = choose_denoiser(spec.denoiser.as_ref(), &named, owner, model, report)?;
    let resolved = all.iter().map(|it| Some((it.name.value.clone(), task(it, &denoiser, spec, model, report)?)));
    let resolved: Vec<Option<(String, Task)>> = resolved.collect();
    let (tasks, conflicts) = resolved.split_at(spec.tasks.len());
    let mut tasks: IndexMap<String, Task> = tasks.iter().flatten().cloned().collect();
    // A task that is wrong may be the one that a subset asks for.
    if spec.subsets.is_some() && tasks.len() == spec.tasks.len() {
        add_subsets(&mut tasks, spec, &denoiser, model, report);
    }
    Some(Asked { denoiser, tasks, conflicts: conflicts.iter().flatten().cloned().collect() })
}

/// Resolves a task; its values are streams and prompts of the data.
fn task(
    task: &TaskSpec,
    denoiser: &str,
    spec: &EvaluationSpec,
    model: &ModelGraph,
    report: &mut Report,
) -> Option<Task> {
    check_references(&task.references, model, report);
    let mut streams = resolve_roles(&task.roles, denoiser, model, report)?;
    condition(task, denoiser, &mut streams, model, report)?;
    for name in task.roles.values().filter(|name| !model.streams.contains_key(&name.value)) {
        unknown("stream", name, model.streams.keys().map(String::as_str), report);
    }
    if let (None, None, Some(given)) = (&task.score, task.roles.given, spec.given) {
        streams.set_given(given);
    }
    let shared = spec.guidance.as_ref().filter(|shared| task.score.is_none() && shared.applies(&streams));
    let guidance = task.roles.guidance.as_ref().or(shared);
    for InsteadSpec { condition, by } in guidance.iter().flat_map(|written| &written.instead) {
        // A rule reports a condition that no task has.
        let _ = streams.replace_condition(&condition.value, by.value.clone());
    }
    let guidance = guidance.map(|written| written.guidance.clone());
    let score = match &task.score {
        Some(score) => Some(resolve_scoring(score, model, report)?),
        None => None,
    };
    Some(Task { streams, guidance, options: task.options.clone(), score })
}

/// Adds the prompts of a task, which its denoiser must attend to.
fn condition(
    task: &TaskSpec,
    denoiser: &str,
    streams: &mut Roles,
    model: &ModelGraph,
    report: &mut Report,
) -> Option<()> {
    let (_, plan) = model.denoisers.get(denoiser)?;
    let read: Vec<&str> = plan.iter().flat_map(|plan| &plan.prompts).map(String::as_str).collect();
    let mut good = true;
    for (prompt, weight) in &task.roles.condition {
        streams.condition(prompt.value.clone(), prompt.value.clone(), *weight);
        if plan.is_some() && !read.contains(&prompt.value.as_str()) {
            unknown("prompt", prompt, read.iter().copied(), report);
            good = false;
        }
    }
    good.then_some(())
}
