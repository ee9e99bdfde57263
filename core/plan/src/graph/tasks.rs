//! The tasks of an evaluation: one denoiser, and the streams of each task by role.

use indexmap::IndexMap;

use crate::error::Report;
use crate::graph::conditions::Conditions;
use crate::graph::references::check_references;
use crate::graph::subsets::add_subsets;
use crate::graph::{ModelGraph, choose_denoiser, known_streams, plan_of, resolve_roles, resolve_scoring};
use crate::plan::{HiddenPart, Roles, Task, TaskPlane};
use crate::problem::problems;
use crate::source::SpannedString;
use crate::spec::{EvaluationSpec, InsteadSpec, ObservedSpec, TaskSpec, unknown};

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
    let conditions = Conditions { model, denoiser };
    condition(task, &conditions, &mut streams, report)?;
    conditions.check_planes(&task.roles, "STREAM", task.name.span, report)?;
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
        let _ = streams.replace_condition(&condition.value, &by.value);
    }
    let guidance = guidance.map(|written| written.guidance.clone());
    let score = match &task.score {
        Some(score) => Some(resolve_scoring(score, model, report)?),
        None => None,
    };
    let planes = task.roles.planes.iter().map(|spec| Some((spec.stream.value.clone(), plane(spec, model)?)));
    let planes = planes.collect::<Option<_>>()?;
    Some(Task { streams, planes, guidance, options: task.options.clone(), score })
}

/// A plane. Its module sees the middle of the range where the mask hides it.
fn plane(spec: &ObservedSpec, model: &ModelGraph) -> Option<TaskPlane> {
    let fill = plan_of(model, &spec.stream.value)?.array.middle();
    let hide = spec.mask.as_ref().map(|mask| HiddenPart { mask: mask.value.clone(), fill });
    Some(TaskPlane { from: spec.from.value.clone(), hide })
}

/// Adds the prompts of a task with their vectors, which its denoiser must take.
fn condition(task: &TaskSpec, conditions: &Conditions, streams: &mut Roles, report: &mut Report) -> Option<()> {
    let taken = conditions.taken();
    let mut good = true;
    for (prompt, weight) in &task.roles.condition {
        if let Some(taken) = taken.as_ref().filter(|taken| !taken.contains(&prompt.value.as_str())) {
            unknown("prompt", prompt, taken.iter().copied(), report);
            good = false;
            continue;
        }
        for part in conditions.of(&prompt.value) {
            streams.condition(part.name, prompt.value.clone(), *weight);
        }
    }
    good.then_some(())
}
