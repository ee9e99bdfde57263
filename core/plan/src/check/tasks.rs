//! Rule: every task of an evaluation uses one denoiser, generates streams with a judge, and observes streams of the data.

use anyflow_config::Guidance;
use indexmap::IndexMap;

use crate::check::{guidance, subsets, tables};
use crate::component;
use crate::descriptor::Role;
use crate::error::Report;
use crate::graph::{ModelGraph, choose_denoiser, known_streams, resolve_roles, resolve_scoring};
use crate::plan::{Roles, Task};
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
        // A task that cannot be read was reported.
        if !report.failed() {
            report.error(spec.span, TaskProblem::NoTasks {});
        }
        return None;
    }
    let written: Vec<_> = all.iter().map(|task| task.roles.written()).collect();
    let known: Vec<bool> = written.iter().map(|written| known_streams(written, model, report)).collect();
    for task in &all {
        check(task, spec, model, report);
        values(task, spec, model, report);
    }
    let differ = spec.conflicts.iter().filter(|conflict| two_prompts(conflict, report)).count();
    let mut named: Vec<&SpannedString> = Vec::new();
    for (written, _) in written.iter().zip(&known).filter(|(_, known)| **known) {
        for stream in written.iter().flat_map(|(_, streams)| streams) {
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
    let resolved = all.iter().map(|it| Some((it.name.value.clone(), task(it, &denoiser, spec, model, report)?)));
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

/// Resolves a task; its values are streams and prompts of the data.
fn task(
    task: &TaskSpec,
    denoiser: &str,
    spec: &EvaluationSpec,
    model: &ModelGraph,
    report: &mut Report,
) -> Option<Task> {
    let mut streams = resolve_roles(&task.roles, denoiser, model, report)?;
    condition(task, denoiser, &mut streams, spec, model, report);
    let guidance = guided(task, spec, &streams, report)?;
    if let (None, None, Some(given)) = (&task.score, task.roles.given, spec.given) {
        streams.set_given(given);
    }
    let score = match &task.score {
        Some(score) => Some(resolve_scoring(score, model, report)?),
        None => None,
    };
    Some(Task { streams, guidance, min_coherence: task.min_coherence, min_top1: task.min_top1, score })
}

/// True if a conflict is between two different prompts.
fn two_prompts(conflict: &TaskSpec, report: &mut Report) -> bool {
    match conflict.roles.condition.as_slice() {
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

/// A value that a role of a task reads.
struct Reading<'s> {
    stream: &'s SpannedString,
    from: &'s SpannedString,
    is_mask: bool,
}

/// Refuses values that are no stream of the data, or do not fit the stream that reads them: a mask needs a latent of the
/// same shape, any other value an array of the same shape and dtype.
fn values(task: &TaskSpec, spec: &EvaluationSpec, model: &ModelGraph, report: &mut Report) {
    let observed = task.roles.observe.iter().map(|observed| (&observed.stream, &observed.from));
    let starts = task.roles.start.iter().map(|(stream, from)| (stream, from));
    let whole = observed.chain(starts).map(|(stream, from)| Reading { stream, from, is_mask: false });
    let masks = task.roles.masked().map(|(observed, mask)| (&observed.stream, mask));
    let masks = masks.map(|(stream, from)| Reading { stream, from, is_mask: true });
    for reading in whole.chain(masks) {
        let Reading { stream, from, is_mask } = reading;
        let Some(read) = model.streams.get(&from.value) else {
            unknown("stream", from, model.streams.keys().map(String::as_str), report);
            continue;
        };
        if let Some(table) = spec.data.as_ref().filter(|table| !tables::names(table, &from.value, model)) {
            let reader = format!("task `{}`", task.name.value);
            tables::missing(&table.name.value, &format!("stream `{}`", from.value), &reader, from, report);
        }
        let reader = model.streams.get(&stream.value).and_then(|reader| reader.plan.as_ref());
        let Some((one, other)) = reader.zip(read.plan.as_ref()) else { continue };
        let problem = if is_mask && one.latent != other.latent {
            let one = format!("stream `{}` has a latent of shape {:?}", stream.value, one.latent);
            let other = format!("`{}`, its mask, has a latent of shape {:?}", from.value, other.latent);
            Problem::Mismatch { what: "shapes", one, other }
        } else if !is_mask && one.array.elements() != other.array.elements() {
            let one = format!("stream `{}` holds {}", stream.value, one.array);
            let other = format!("`{}`, from which it has values, holds {}", from.value, other.array);
            Problem::Mismatch { what: "arrays", one, other }
        } else {
            continue;
        };
        report.error(from.span, problem);
    }
}

/// Adds the prompts of a task: its denoiser must attend to them, and the data must have columns for them.
fn condition(
    task: &TaskSpec,
    denoiser: &str,
    streams: &mut Roles,
    spec: &EvaluationSpec,
    model: &ModelGraph,
    report: &mut Report,
) {
    let Some((_, plan)) = model.denoisers.get(denoiser) else { return };
    let read: Vec<&str> = plan.iter().flat_map(|plan| &plan.prompts).map(String::as_str).collect();
    for (prompt, weight) in &task.roles.condition {
        streams.condition(prompt.value.clone(), prompt.value.clone(), *weight);
        if plan.is_some() && !read.contains(&prompt.value.as_str()) {
            unknown("prompt", prompt, read.iter().copied(), report);
        } else if let Some(table) = spec.data.as_ref().filter(|table| !tables::names(table, &prompt.value, model)) {
            let reader = format!("task `{}`", task.name.value);
            tables::missing(&table.name.value, &format!("prompt `{}`", prompt.value), &reader, prompt, report);
        }
    }
}

/// The guidance of a task: its own, or that of the file if it applies. `None` if it is wrong, which is reported.
fn guided(task: &TaskSpec, spec: &EvaluationSpec, streams: &Roles, report: &mut Report) -> Option<Option<Guidance>> {
    match (&task.roles.guidance, &spec.guidance) {
        (Some(own), _) => guidance::resolve(own, streams, report).map(Some),
        (None, Some(shared)) if task.score.is_none() && guidance::applies(shared, streams) => {
            Some(Some(shared.guidance.clone()))
        }
        (None, _) => Some(None),
    }
}

fn check(task: &TaskSpec, spec: &EvaluationSpec, model: &ModelGraph, report: &mut Report) {
    if let Some(score) = &task.score {
        return scored(task, score, spec, model, report);
    }
    if task.roles.generate.is_empty() {
        let what = format!("`generate` of task `{}`", task.name.value);
        report.error(task.name.span, Problem::WrongCount { what, wanted: "at least one stream".into(), found: 0 });
    }
    let known = |stream: &&SpannedString| model.streams.contains_key(&stream.value);
    for stream in task.roles.generate.iter().filter(known) {
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
