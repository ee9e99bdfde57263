//! Rule: every task of an evaluation asks one denoiser for streams that somebody judges, given streams of the data.

use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::check::{guidance, subsets, tables};
use crate::error::Report;
use crate::graph::{ModelGraph, StreamLists, choose_denoiser, known_streams, resolve_lists};
use crate::plan::Task;
use crate::problem::Problem;
use crate::source::SpannedString;
use crate::spec::{EvaluationSpec, TaskSpec, unknown};

/// Resolves all tasks and the denoiser that they ask.
pub(crate) fn resolve(
    spec: &EvaluationSpec,
    model: &ModelGraph,
    report: &mut Report,
) -> Option<(String, IndexMap<String, Task>)> {
    if spec.tasks.is_empty() && spec.subsets.is_none() {
        let reason = "asks nothing; give it `tasks`, or `subsets: true`".into();
        report.error(spec.span, Problem::Impossible { what: "the evaluation".into(), reason });
        return None;
    }
    let written: Vec<_> = spec.tasks.iter().map(lists).collect();
    let known: Vec<bool> = written.iter().map(|lists| known_streams(lists, model, report)).collect();
    spec.tasks.iter().for_each(|task| check(task, spec, model, report));
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
    let owner = spec.tasks.first().map_or(spec.span, |task| task.name.span);
    let denoiser = choose_denoiser(spec.denoiser.as_ref(), &named, owner, model, report)?;
    if let (Some(spec), Some((over, _))) = (&spec.guidance, model.denoisers.get(&denoiser)) {
        let prompts = model.denoisers[&denoiser].1.iter().flat_map(|denoiser| &denoiser.prompts);
        let known: Vec<String> = over.iter().chain(prompts).cloned().collect();
        guidance::check_names(spec, &known, report);
    }
    let tasks = spec.tasks.iter().zip(&written).map(|(task, written)| {
        let mut lists = resolve_lists(written, &denoiser, model, report)?;
        let condition = condition(task, &denoiser, spec, model, report)?;
        lists.prompts = condition.keys().cloned().collect();
        let guidance = guided(task, spec, &lists, report)?;
        let given = task.given.or(spec.given)?;
        let StreamLists { generate, observe, along, absent, .. } = lists;
        let (start, at_least) = (start(task, &generate, spec, model, report)?, task.at_least);
        let plan = Task { generate, along, observe, start, condition, absent, guidance, given, at_least };
        Some((task.name.value.clone(), plan))
    });
    let mut tasks: IndexMap<String, Task> = tasks.collect::<Vec<_>>().into_iter().collect::<Option<_>>()?;
    if spec.subsets.is_some() {
        subsets::add(&mut tasks, spec, &denoiser, model, report);
    }
    Some((denoiser, tasks))
}

/// What streams of a task begin from: streams of the data with arrays of the same form.
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
        if let (Some(one), Some(other)) = (array(&stream.value), array(&from.value))
            && one.elements() != other.elements()
        {
            let what = format!("stream `{}`", stream.value);
            let reason = format!("cannot begin from `{}`, whose array has another shape", from.value);
            report.error(from.span, Problem::Impossible { what, reason });
            good = false;
        }
    }
    let pairs = task.start.iter().map(|(stream, from)| (stream.value.clone(), from.value.clone()));
    good.then(|| pairs.collect())
}

/// The prompts of a task: those that its denoiser reads and the data have a column for.
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

/// The guidance of a task: its own, or that of the file where it applies. `None` if it is wrong, which is reported.
fn guided(task: &TaskSpec, spec: &EvaluationSpec, lists: &StreamLists, report: &mut Report) -> Option<Option<Json>> {
    match (&task.guidance, &spec.guidance) {
        (Some(own), _) => guidance::resolve(own, lists, report).map(Some),
        (None, Some(shared)) if guidance::applies(shared, lists) => Some(Some(shared.json.clone())),
        (None, _) => Some(None),
    }
}

fn lists(task: &TaskSpec) -> [(&'static str, Vec<&SpannedString>); 4] {
    [
        ("generate", task.generate.iter().collect()),
        ("observe", task.observe.iter().collect()),
        ("along", task.along.iter().collect()),
        ("absent", task.absent.iter().collect()),
    ]
}

fn check(task: &TaskSpec, spec: &EvaluationSpec, model: &ModelGraph, report: &mut Report) {
    if task.generate.is_empty() {
        let what = format!("task `{}`", task.name.value);
        report.error(task.name.span, Problem::Impossible { what, reason: "generates nothing".into() });
    }
    let known = |stream: &&SpannedString| model.streams.contains_key(&stream.value);
    for stream in task.generate.iter().filter(known) {
        if !spec.judges.iter().any(|judge| judge.stream.value == stream.value) {
            let (task, stream_name) = (task.name.value.clone(), stream.value.clone());
            report.error(stream.span, Problem::NoJudge { task, stream: stream_name });
        }
    }
    let Some(table) = &spec.data else { return };
    for stream in task.observe.iter().filter(known).filter(|stream| !tables::names(table, &stream.value, model)) {
        let reader = format!("task `{}`", task.name.value);
        tables::missing("data", &format!("stream `{}`", stream.value), &reader, stream, report);
    }
}
