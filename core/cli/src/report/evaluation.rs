//! The section of an evaluation: coherence of every task and variant, samples, predicted classes, then the other tables.

mod confusion;
mod samples;

use std::path::Path;

use anyflow_plan::findings::{Findings, TaskFindings};
use maud::{Markup, html};

use super::cell::Budget;
use super::tables::{Grid, details, mark, percent, share, target as target_of};
use super::{Kind, Section, dataset, provenance, trouble};
use crate::{order, regular};

/// The section of an evaluation folder.
pub(super) fn section(folder: &Path, place: &str, rows: u64, budget: &mut Budget) -> Option<Section> {
    let text = regular::record(&folder.join("eval.json")).ok()?;
    let broken = |error: serde_json::Error| Section {
        kind: Kind::Evaluation,
        title: "evaluation".into(),
        place: place.into(),
        facts: Vec::new(),
        body: trouble(format!("eval.json: {error}")),
    };
    match serde_json::from_slice(&text) {
        Ok(findings) => {
            let samples = samples::panels(folder, &findings, rows, budget);
            Some(of_findings(folder, place, &findings, &samples))
        }
        Err(error) => Some(broken(error)),
    }
}

fn of_findings(folder: &Path, place: &str, findings: &Findings, samples: &Markup) -> Section {
    let order = order::read(folder);
    let body = html! {
        div.panel { h3 { "Coherence" } (coherence(findings)) }
        (samples)
        (confusion::panels(findings))
        @for grid in details(findings) { div.panel { h3 { (grid.title) } (table(&grid)) } }
        @if let Some(order) = &order {
            div.more {
                (dataset::graph(order))
                (provenance::Provenance::read(folder).details(Some(order)))
            }
        }
    };
    let title = findings.name.clone();
    let facts = facts(findings);
    Section { kind: Kind::Evaluation, title, place: place.into(), facts, body }
}

fn facts(findings: &Findings) -> Vec<String> {
    let tasks = findings.tasks.values();
    let targets = tasks.clone().filter(|task| !target_of(task).is_empty()).count();
    let failed = tasks.filter(|task| !task.passed).count();
    let verdict = match (targets, failed) {
        (0, _) => None,
        (_, 0) => Some("all targets met".to_string()),
        (_, failed) => Some(format!("{failed} of {targets} targets missed")),
    };
    let size = format!("{} rows a task, {} seeds", findings.rows, findings.seeds.len());
    [format!("{} tasks", findings.tasks.len()), size].into_iter().chain(verdict).collect()
}

fn coherence(findings: &Findings) -> Markup {
    html! {
        div.wide { table {
            thead { tr {
                th { "task" } th { "given" } th { "generated" }
                @for variant in findings.variants.keys() { th { (variant) } }
                th { "target" }
            } }
            tbody { @for (name, task) in &findings.tasks { tr {
                th scope="row" { (name) }
                td { (chips(&task.observe, "given")) }
                td { (chips(&task.generate, "made")) }
                @for (index, answer) in task.variants.values().enumerate() {
                    td { div.figure title=(per_seed(&answer.coherence.per_seed)) {
                        (bar(answer.coherence.mean, task, index == 0)) b { (share(&answer.coherence)) }
                    } }
                }
                td { (target(task)) }
            } } }
        } }
    }
}

fn chips(streams: &[String], class: &str) -> Markup {
    html! { @for stream in streams { span.chip.(class) { (stream) } } }
}

fn per_seed(figures: &[f64]) -> String {
    format!("per seed: {}", figures.iter().map(|figure| percent(*figure)).collect::<Vec<_>>().join(", "))
}

/// A share as a bar. The bar of the first variant has a mark at the target.
fn bar(mean: f64, task: &TaskFindings, first: bool) -> Markup {
    let target = task.min_coherence.filter(|_| first);
    let state = match (target, task.passed) {
        (None, _) => "",
        (_, true) => "good",
        (_, false) => "bad",
    };
    html! {
        span.bar {
            i class=(state) style={ "width: " (format!("{:.1}", mean * 100.0)) "%" } {}
            @if let Some(least) = target { u style={ "left: " (format!("{:.1}", least * 100.0)) "%" } {} }
        }
    }
}

fn target(task: &TaskFindings) -> Markup {
    let asked = target_of(task);
    if asked.is_empty() {
        return html! { span.dim { "–" } };
    }
    let class = if task.passed { "passed" } else { "failed" };
    html! { span.(class) { (asked) (mark(task)) } }
}

fn table(grid: &Grid) -> Markup {
    let (head, rows) = grid.rows.split_first().map_or((&[][..], &[][..]), |(head, rows)| (head.as_slice(), rows));
    html! {
        div.wide { table {
            thead { tr { @for name in head { th { (name) } } } }
            tbody { @for row in rows { tr { @for cell in row {
                td { @if cell.is_empty() { span.dim { "–" } } @else { (cell) } }
            } } } }
        } }
    }
}
