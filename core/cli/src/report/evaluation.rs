//! An evaluation: a table of tasks, one of judges, and whatever else it says.

use std::path::Path;

use maud::{Markup, html};
use serde_json::{Map, Value};

use super::{Kind, Section, dataset, provenance, trouble, values};
use crate::order;
use crate::progress::{significant, words};

/// Keys that have tables of their own, or stand in the head.
const SHOWN: [&str; 3] = ["name", "tasks", "judges"];

/// The section of an evaluation folder.
pub(super) fn section(folder: &Path, place: &str) -> Option<Section> {
    let text = std::fs::read(folder.join("eval.json")).ok()?;
    let broken = |error: serde_json::Error| Section {
        kind: Kind::Evaluation,
        title: "evaluation".into(),
        place: place.into(),
        facts: Vec::new(),
        body: trouble(format!("eval.json: {error}")),
    };
    match serde_json::from_slice(&text) {
        Ok(result) => Some(of_result(folder, place, &result)),
        Err(error) => Some(broken(error)),
    }
}

fn of_result(folder: &Path, place: &str, result: &Value) -> Section {
    let tasks = result["tasks"].as_object();
    let rest = result.as_object().into_iter().flatten().filter(|(key, _)| !SHOWN.contains(&key.as_str()));
    let rest: Map<String, Value> = rest.map(|(key, value)| (key.clone(), value.clone())).collect();
    let order = order::read(folder);
    let body = html! {
        @if let Some(tasks) = tasks { div.panel { h3 { "Tasks" } (table_of_tasks(tasks)) } }
        @else { div.panel { (values::table(result)) } }
        @if let Some(judges) = result["judges"].as_object() { div.panel { h3 { "Judges" } (table_of_judges(judges)) } }
        div.more {
            @if !rest.is_empty() {
                details { summary { "Settings" } div.inside { (values::table(&Value::Object(rest))) } }
            }
            @if let Some(order) = &order {
                (dataset::graph(order))
                (provenance::Provenance::read(folder).details(Some(order)))
            }
        }
    };
    let title = result["name"].as_str().unwrap_or("evaluation").to_string();
    let facts = tasks.map(facts).unwrap_or_default();
    Section { kind: Kind::Evaluation, title, place: place.into(), facts, body }
}

fn facts(tasks: &Map<String, Value>) -> Vec<String> {
    let targets = tasks.values().filter(|task| task["at_least"].is_number()).count();
    let failed = tasks.values().filter(|task| task["passed"] == Value::Bool(false)).count();
    let verdict = match (targets, failed) {
        (0, _) => None,
        (_, 0) => Some("all targets met".to_string()),
        (_, failed) => Some(format!("{failed} of {targets} targets missed")),
    };
    std::iter::once(format!("{} tasks", tasks.len())).chain(verdict).collect()
}

fn table_of_tasks(tasks: &Map<String, Value>) -> Markup {
    let known = ["observe", "generate", "at_least", "passed"];
    let mut figures: Vec<&String> = Vec::new();
    for name in tasks.values().filter_map(Value::as_object).flat_map(Map::keys) {
        if !known.contains(&name.as_str()) && !figures.contains(&name) {
            figures.push(name);
        }
    }
    html! {
        div.wide { table {
            thead { tr {
                th { "task" } th { "given" } th { "generated" }
                @for figure in &figures { th { (words(figure)) } }
                th { "target" }
            } }
            tbody { @for (name, task) in tasks { tr {
                th scope="row" { (name) }
                td { (chips(&task["observe"], "given")) }
                td { (chips(&task["generate"], "made")) }
                @for (index, figure) in figures.iter().enumerate() { td { (figure_of(task, figure, index == 0)) } }
                td { (target(task)) }
            } } }
        } }
    }
}

fn chips(streams: &Value, class: &str) -> Markup {
    let streams = streams.as_array().into_iter().flatten().filter_map(Value::as_str);
    html! { @for stream in streams { span.chip.(class) { (stream) } } }
}

/// A figure with spread and bar, a figure per stream, or anything else.
fn figure_of(task: &Value, name: &str, first: bool) -> Markup {
    let value = &task[name];
    if let Some(mean) = value["mean"].as_f64() {
        return html! { div.figure { @if first { (bar(mean, task)) } (spread(value, mean)) } };
    }
    match value {
        Value::Null => html! { span.dim { "–" } },
        Value::Object(streams) if streams.is_empty() => html! { span.dim { "–" } },
        Value::Object(streams) if streams.values().all(|stream| stream["mean"].is_number()) => html! {
            @for (stream, figure) in streams {
                div.figure { span.dim { (stream) " " } (spread(figure, figure["mean"].as_f64().unwrap_or(f64::NAN))) }
            }
        },
        other => values::table(other),
    }
}

fn spread(figure: &Value, mean: f64) -> Markup {
    let seeds = figure["per_seed"].as_array().map(|seeds| seeds.iter().filter_map(Value::as_f64).map(significant));
    let seeds = seeds.map(|seeds| format!("per seed: {}", seeds.collect::<Vec<_>>().join(", ")));
    html! {
        span title=[seeds] {
            b { (format!("{mean:.3}")) }
            @if let Some(spread) = figure["spread"].as_f64() { span.dim { (format!(" ± {spread:.3}")) } }
        }
    }
}

/// A share as a bar, with a mark at the target.
fn bar(mean: f64, task: &Value) -> Markup {
    if !(0.0..=1.0).contains(&mean) {
        return html! {};
    }
    let state = match task["passed"].as_bool().filter(|_| task["at_least"].is_number()) {
        Some(true) => "good",
        Some(false) => "bad",
        None => "",
    };
    html! {
        span.bar {
            i class=(state) style={ "width: " (format!("{:.1}", mean * 100.0)) "%" } {}
            @if let Some(least) = task["at_least"].as_f64() {
                u style={ "left: " (format!("{:.1}", least * 100.0)) "%" } {}
            }
        }
    }
}

fn target(task: &Value) -> Markup {
    let Some(least) = task["at_least"].as_f64() else { return html! { span.dim { "–" } } };
    match task["passed"].as_bool() {
        Some(true) => html! { span.passed { "✓ " (significant(least)) } },
        Some(false) => html! { span.failed { "✗ " (significant(least)) } },
        None => html! { (significant(least)) },
    }
}

fn table_of_judges(judges: &Map<String, Value>) -> Markup {
    let rows = judges.iter().map(|(name, figures)| {
        let mut row = Map::from_iter([("judge".to_string(), Value::from(name.as_str()))]);
        match figures.as_object() {
            Some(figures) => row.extend(figures.clone()),
            None => drop(row.insert("figure".into(), figures.clone())),
        }
        Value::Object(row)
    });
    values::table(&rows.collect())
}
