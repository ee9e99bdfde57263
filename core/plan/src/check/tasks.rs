//! Rule: every task of an evaluation uses one denoiser, generates streams with a judge, and observes streams of the data.

use anyflow_config::Guidance;
use indexmap::IndexMap;

use crate::check::{guidance, subsets, tables};
use crate::component;
use crate::descriptor::Role;
use crate::error::Report;
use crate::graph::{ModelGraph, StreamLists, choose_denoiser, known_streams, resolve_lists, resolve_scoring};
use crate::plan::{Given, Task};
use crate::problem::{Problem, problems};
use crate::source::SpannedString;
use crate::spec::{EvaluationSpec, ScoringSpec, TaskSpec, unknown};

problems! {
    /// What can be wrong with the tasks of an evaluation.
    pub(crate) enum TaskProblem {
        /// An evaluation has nothing to do.
        /// Example: A file with `judges` but without `tasks`.
        /// Cure: Add `tasks`, or `subsets: true`.
        #[error("the evaluation has no tasks; add `tasks` or `subsets: true`")]
        NoTasks {},
        /// A task of an evaluation generates a stream that no judge can score.
        /// Example: `generate: [x]` without `x` under `judges`.
        /// Cure: Add a judge for the stream, or list the stream under `marginalize`.
        #[error("task `{task}` generates `{stream}`, but `judges` has no `{stream}`")]
        NoJudge { task: String, stream: String },
    }
}

/// The resolved tasks of an evaluation, and their denoiser.
pub(crate) struct Asked {
    pub denoiser: String,
    pub tasks: IndexMap<String, Task>,
    pub conflicts: IndexMap<String, Task>,
}

/// Resolves all tasks and conflicts, and their denoiser.
pub(crate) fn resolve(spec: &EvaluationSpec, model: &ModelGraph, report: &mut Report) -> Option<Asked> {
    let all: Vec<&TaskSpec> = spec.tasks.iter().chain(&spec.conflicts).collect();
    if all.is_empty() && spec.subsets.is_none() {
        report.error(spec.span, TaskProblem::NoTasks {});
        return None;
    }
    let written: Vec<_> = all.iter().map(|task| lists(task)).collect();
    let known: Vec<bool> = written.iter().map(|lists| known_streams(lists, model, report)).collect();
    all.iter().for_each(|task| check(task, spec, model, report));
    let differ = spec.conflicts.iter().filter(|conflict| two_prompts(conflict, report)).count();
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
    if let Some(shared) = &spec.guidance {
        guidance::check_names(shared, &model.conditions(&denoiser), report);
    }
    let resolved = all.iter().zip(&written).map(|(task, written)| {
        let mut lists = resolve_lists(written, &denoiser, model, report)?;
        let condition = condition(task, &denoiser, spec, model, report)?;
        lists.prompts = condition.keys().cloned().collect();
        let guidance = guided(task, spec, &lists, report)?;
        let given = task.given.or(spec.given)?;
        let StreamLists { generate, observe, marginalize, absent, .. } = lists;
        let score = match &task.score {
            Some(score) => Some(resolve_scoring(score, model, report)?),
            None => None,
        };
        let start = start(task, &generate, spec, model, report)?;
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
    let resolved = resolved.collect::<Vec<_>>().into_iter().collect::<Option<Vec<(String, Task)>>>()?;
    if differ < spec.conflicts.len() {
        return None;
    }
    let (tasks, conflicts) = resolved.split_at(spec.tasks.len());
    let mut tasks: IndexMap<String, Task> = tasks.iter().cloned().collect();
    if spec.subsets.is_some() {
        subsets::add(&mut tasks, spec, &denoiser, model, report);
    }
    Some(Asked { denoiser, tasks, conflicts: conflicts.iter().cloned().collect() })
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

/// True if a conflict is between two different prompts.
fn two_prompts(conflict: &TaskSpec, report: &mut Report) -> bool {
    match conflict.condition.as_slice() {
        [(one, _), (other, _)] if one.value == other.value => {
            let problem = Problem::Duplicate { what: "prompt".into(), name: one.value.clone() };
            report.error_with(other.span, problem, one.span, "first given here, in `between`");
            false
        }
        [_, _] => true,
        prompts => {
            let what = format!("`between` of conflict `{}`", conflict.name.value);
            let problem = Problem::WrongCount { what, wanted: "two prompts".into(), found: prompts.len() };
            report.error(conflict.name.span, problem);
            false
        }
    }
}

/// The initial values of a task: streams of the data whose arrays have the same shape and dtype.
fn start(
    task: &TaskSpec,
    generate: &[String],
    spec: &EvaluationSpec,
    model: &ModelGraph,
    report: &mut Report,
) -> Option<IndexMap<String, String>> {
    let mut good = true;
    for (stream, from) in &task.start {
        if !generate.contains(&stream.value) {
            unknown("generated stream", stream, generate.iter().map(String::as_str), report);
            good = false;
            continue;
        }
        if !model.streams.contains_key(&from.value) {
            unknown("stream", from, model.streams.keys().map(String::as_str), report);
            good = false;
            continue;
        }
        if let Some(table) = spec.data.as_ref().filter(|table| !tables::names(table, &from.value, model)) {
            let reader = format!("task `{}`", task.name.value);
            tables::missing(&table.name.value, &format!("stream `{}`", from.value), &reader, from, report);
            good = false;
        }
        let array = |name: &str| model.streams.get(name)?.plan.as_ref().map(|plan| plan.array.clone());
        if let (Some(wanted), Some(found)) = (array(&stream.value), array(&from.value))
            && wanted.elements() != found.elements()
        {
            let one = format!("stream `{}` holds {wanted}", stream.value);
            let other = format!("`{}`, from which it starts, holds {found}", from.value);
            report.error(from.span, Problem::Mismatch { what: "arrays", one, other });
            good = false;
        }
    }
    let pairs = task.start.iter().map(|(stream, from)| (stream.value.clone(), from.value.clone()));
    good.then(|| pairs.collect())
}

/// The prompts of a task: its denoiser must attend to them, and the data must have columns for them.
fn condition(
    task: &TaskSpec,
    denoiser: &str,
    spec: &EvaluationSpec,
    model: &ModelGraph,
    report: &mut Report,
) -> Option<IndexMap<String, f64>> {
    let (_, plan) = model.denoisers.get(denoiser)?;
    let read: Vec<&str> = plan.iter().flat_map(|plan| &plan.prompts).map(String::as_str).collect();
    let mut good = true;
    for (prompt, _) in &task.condition {
        if plan.is_some() && !read.contains(&prompt.value.as_str()) {
            unknown("prompt", prompt, read.iter().copied(), report);
            good = false;
        } else if let Some(table) = spec.data.as_ref().filter(|table| !tables::names(table, &prompt.value, model)) {
            let reader = format!("task `{}`", task.name.value);
            tables::missing(&table.name.value, &format!("prompt `{}`", prompt.value), &reader, prompt, report);
            good = false;
        }
    }
    let weights = task.condition.iter().map(|(prompt, weight)| (prompt.value.clone(), *weight));
    good.then(|| weights.collect())
}

/// The guidance of a task: its own, or that of the file if it applies. `None` if it is wrong, which is reported.
fn guided(
    task: &TaskSpec,
    spec: &EvaluationSpec,
    lists: &StreamLists,
    report: &mut Report,
) -> Option<Option<Guidance>> {
    match (&task.guidance, &spec.guidance) {
        (Some(own), _) => guidance::resolve(own, lists, report).map(Some),
        (None, Some(shared)) if guidance::applies(shared, lists) => Some(Some(shared.guidance.clone())),
        (None, _) => Some(None),
    }
}

fn lists(task: &TaskSpec) -> [(&'static str, Vec<&SpannedString>); 4] {
    [
        ("generate", task.generate.iter().chain(task.score.iter().map(|score| &score.stream)).collect()),
        ("observe", task.observe.iter().collect()),
        ("marginalize", task.marginalize.iter().collect()),
        ("absent", task.absent.iter().collect()),
    ]
}

fn check(task: &TaskSpec, spec: &EvaluationSpec, model: &ModelGraph, report: &mut Report) {
    if let Some(score) = &task.score {
        scored(task, score, spec, model, report);
    } else if task.generate.is_empty() {
        let what = format!("`generate` of task `{}`", task.name.value);
        report.error(task.name.span, Problem::WrongCount { what, wanted: "at least one stream".into(), found: 0 });
    }
    let known = |stream: &&SpannedString| model.streams.contains_key(&stream.value);
    for stream in task.generate.iter().filter(known) {
        if !spec.judges.iter().any(|judge| judge.stream.value == stream.value) {
            let task = task.name.value.clone();
            let stream_name = stream.value.clone();
            report.error(stream.span, TaskProblem::NoJudge { task, stream: stream_name });
        }
        // Judges take decoded arrays as input.
        if let Some(module) = &model.streams[&stream.value].module {
            component::need_role(module.descriptor, Role::Decode, &module.placed.component, stream.span, report);
        }
    }
    let Some(table) = &spec.data else { return };
    for stream in task.observe.iter().filter(known).filter(|stream| !tables::names(table, &stream.value, model)) {
        let reader = format!("task `{}`", task.name.value);
        tables::missing("data", &format!("stream `{}`", stream.value), &reader, stream, report);
    }
}

/// A classification needs the truth: the class of a row, or its own value of the stream.
fn scored(task: &TaskSpec, score: &ScoringSpec, spec: &EvaluationSpec, model: &ModelGraph, report: &mut Report) {
    let Some(table) = &spec.data else { return };
    let reader = format!("task `{}`", task.name.value);
    let stream = &score.stream;
    if !score.classes.is_empty() && table.class.is_none() {
        tables::missing("data", "the class (`class`)", &reader, stream, report);
    }
    let known = model.streams.contains_key(&stream.value);
    if score.classes.is_empty() && known && !tables::names(table, &stream.value, model) {
        tables::missing("data", &format!("stream `{}`", stream.value), &reader, stream, report);
    }
}
