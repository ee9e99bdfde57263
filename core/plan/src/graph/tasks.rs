//! The tasks of an evaluation: one denoiser, and the streams of each task by role.

use anyflow_config::Guidance;
use indexmap::IndexMap;

use crate::error::Report;
use crate::graph::subsets::add_subsets;
use crate::graph::{ModelGraph, StreamLists, choose_denoiser, known_streams, resolve_lists, resolve_scoring};
use crate::plan::{Given, Task};
use crate::problem::problems;
use crate::source::SpannedString;
use crate::spec::{EvaluationSpec, TaskSpec, unknown};

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
        report.error(spec.span, TaskProblem::NoTasks {});
        return None;
    }
    let written: Vec<_> = all.iter().map(|task| lists(task)).collect();
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
    let resolved = all.iter().zip(&written).map(|(task, written)| {
        let mut lists = resolve_lists(written, &denoiser, model, report)?;
        let condition = condition(task, &denoiser, model, report)?;
        lists.prompts = condition.keys().cloned().collect();
        let guidance = guided(task, spec, &lists);
        let given = task.given.or(spec.given)?;
        let StreamLists { generate, observe, marginalize, absent, .. } = lists;
        let score = match &task.score {
            Some(score) => Some(resolve_scoring(score, model, report)?),
            None => None,
        };
        let start = start(task, &generate, model, report)?;
        let min_coherence = task.min_coherence;
        let min_top1 = task.min_top1;
        let plan = Task {
            generate,
            marginalize,
            observe,
            start,
            condition,
            absent,
            guidance,
            given,
            min_coherence,
            min_top1,
            score,
        };
        let plan = if plan.score.is_some() { predicting_only(plan) } else { plan };
        Some((task.name.value.clone(), plan))
    });
    let resolved: Vec<Option<(String, Task)>> = resolved.collect();
    let (tasks, conflicts) = resolved.split_at(spec.tasks.len());
    let mut tasks: IndexMap<String, Task> = tasks.iter().flatten().cloned().collect();
    // A task that is wrong may be the one that a subset asks for.
    if spec.subsets.is_some() && tasks.len() == spec.tasks.len() {
        add_subsets(&mut tasks, spec, &denoiser, model, report);
    }
    Some(Asked { denoiser, tasks, conflicts: conflicts.iter().flatten().cloned().collect() })
}

/// A classification predicts its stream alone: no other stream is sampled.
fn predicting_only(task: Task) -> Task {
    Task {
        generate: Vec::new(),
        marginalize: Vec::new(),
        absent: task.marginalize.iter().chain(&task.absent).cloned().collect(),
        guidance: None,
        given: Given::Clean,
        ..task
    }
}

/// The initial values of a task: streams of the data.
fn start(
    task: &TaskSpec,
    generate: &[String],
    model: &ModelGraph,
    report: &mut Report,
) -> Option<IndexMap<String, String>> {
    let mut good = true;
    for (stream, from) in &task.start {
        if !generate.contains(&stream.value) {
            unknown("generated stream", stream, generate.iter().map(String::as_str), report);
            good = false;
        } else if !model.streams.contains_key(&from.value) {
            unknown("stream", from, model.streams.keys().map(String::as_str), report);
            good = false;
        }
    }
    let pairs = task.start.iter().map(|(stream, from)| (stream.value.clone(), from.value.clone()));
    good.then(|| pairs.collect())
}

/// The prompts of a task, which its denoiser must attend to.
fn condition(
    task: &TaskSpec,
    denoiser: &str,
    model: &ModelGraph,
    report: &mut Report,
) -> Option<IndexMap<String, f64>> {
    let (_, plan) = model.denoisers.get(denoiser)?;
    let read: Vec<&str> = plan.iter().flat_map(|plan| &plan.prompts).map(String::as_str).collect();
    let mut good = true;
    for (prompt, _) in task.condition.iter().filter(|(prompt, _)| !read.contains(&prompt.value.as_str())) {
        if plan.is_some() {
            unknown("prompt", prompt, read.iter().copied(), report);
            good = false;
        }
    }
    let weights = task.condition.iter().map(|(prompt, weight)| (prompt.value.clone(), *weight));
    good.then(|| weights.collect())
}

/// The guidance of a task: its own, or that of the file if it applies.
fn guided(task: &TaskSpec, spec: &EvaluationSpec, lists: &StreamLists) -> Option<Guidance> {
    let shared = spec.guidance.as_ref().filter(|shared| shared.applies(lists));
    task.guidance.as_ref().or(shared).map(|written| written.guidance.clone())
}

/// The streams of a task as written, by key.
fn lists(task: &TaskSpec) -> [(&'static str, Vec<&SpannedString>); 4] {
    [
        ("generate", task.generate.iter().chain(task.score.iter().map(|score| &score.stream)).collect()),
        ("observe", task.observe.iter().collect()),
        ("marginalize", task.marginalize.iter().collect()),
        ("absent", task.absent.iter().collect()),
    ]
}
