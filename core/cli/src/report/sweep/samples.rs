//! The same rows of all combinations side by side.

use std::collections::HashSet;
use std::path::Path;

use anyflow_datasets::{Dataset, FAILURES_FILE, head};
use anyflow_plan::plan::Job;
use maud::{Markup, html};
use serde_json::Value;

use super::{Key, Member};
use crate::error::Result;
use crate::report::cell::Budget;
use crate::report::sheet::{self, ColumnRole, Rows};
use crate::report::trouble;

/// Maximum number of compared rows.
const MOST_ROWS: u64 = 12;
/// Maximum number of failed rows that are read to number the other rows.
const FAILURES_READ: u64 = 10_000;

/// The first rows of a finished combination.
struct Shown<'a> {
    label: String,
    rows: Rows<'a>,
    /// Index in the input of each row.
    numbers: Vec<u64>,
}

impl Shown<'_> {
    fn position(&self, number: u64) -> Option<usize> {
        self.numbers.iter().position(|known| *known == number)
    }
}

/// The first rows, with the observed columns once and the generated ones of every finished combination.
pub(super) fn side_by_side(members: &[Member<'_>], keys: &[Key<'_>], rows: u64, budget: &mut Budget) -> Markup {
    let count = rows.min(MOST_ROWS);
    let finished: Vec<&Member<'_>> = members.iter().filter(|member| member.manifest.is_some()).collect();
    let opened: Vec<_> = finished.iter().map(|member| Dataset::open(&[member.path.to_path_buf()])).collect();
    let shown = finished.iter().zip(&opened).filter_map(|(member, dataset)| Some((member, dataset.as_ref().ok()?)));
    let shown: Result<Vec<Shown<'_>>> = shown.map(|(member, dataset)| of(member, dataset, keys, count)).collect();
    match shown {
        Err(error) => trouble(error),
        Ok(shown) if shown.is_empty() => html! {},
        Ok(shown) => html! {
            div.panel { h3 { "The same rows of all combinations" } (cards(&shown, count, budget)) }
        },
    }
}

fn of<'a>(member: &Member<'_>, dataset: &'a Dataset, keys: &[Key<'_>], count: u64) -> Result<Shown<'a>> {
    let job = member.order.as_ref().map(|order| &order.job);
    let rows = match job {
        Some(Job::Run(plan)) => Rows::read(dataset, Some(&|column| sheet::role(plan, column)), count)?,
        _ => Rows::read(dataset, None, count)?,
    };
    let failed = failed(&member.path.join(FAILURES_FILE))?;
    let numbers = (0..).filter(|number| !failed.contains(number)).take(rows.count()).collect();
    Ok(Shown { label: member.label(keys), rows, numbers })
}

/// Indices in the input of the failed rows, which the output lacks.
fn failed(path: &Path) -> Result<HashSet<u64>> {
    if !path.is_file() {
        return Ok(HashSet::new());
    }
    let failures = head(&Dataset::open(&[path.to_path_buf()])?, FAILURES_READ)?;
    Ok(failures.iter().filter_map(|failure| failure.get("row").and_then(Value::as_u64)).collect())
}

fn cards(shown: &[Shown<'_>], count: u64, budget: &mut Budget) -> Markup {
    let made = |role: ColumnRole| role == ColumnRole::Made;
    html! {
        @for number in (0..count).filter(|number| shown.iter().any(|one| one.position(*number).is_some())) {
            article.row {
                @if let Some((one, row)) = shown.iter().find_map(|one| Some((one, one.position(number)?))) {
                    header { b { "row " (number) } (one.rows.chips(row)) }
                    div.cells { (one.rows.figures(row, |role| !made(role), None, budget)) }
                }
                div.cells { @for one in shown { @match one.position(number) {
                    Some(row) => (one.rows.figures(row, made, Some(&one.label), budget))
                    None => {
                        figure.cell.made {
                            div.body { span.none { "failed" } }
                            figcaption title=(one.label) { (one.label) }
                        }
                    }
                } } }
            }
        }
    }
}
