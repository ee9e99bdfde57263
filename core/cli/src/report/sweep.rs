//! The section of a sweep: what each combination sets, how it ended, and the same rows of all of them side by side.

mod samples;

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use anyflow_datasets::Manifest;
use anyflow_plan::order::Order;
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::cell::Budget;
use super::provenance::Provenance;
use super::{Kind, Section};
use crate::combination::{Combination, plain};
use crate::compiled::name_of;
use crate::order;
use crate::progress::{duration, significant};

/// The output of one combination.
struct Member<'a> {
    path: &'a Path,
    place: &'a str,
    combination: Combination,
    order: Option<Order>,
    /// `None` until the run has finished.
    manifest: Option<Manifest>,
    /// The figures of the run.
    result: Value,
}

impl<'a> Member<'a> {
    fn read(path: &'a Path, place: &'a str) -> Option<Self> {
        Some(Member {
            path,
            place,
            combination: Combination::read(path)?,
            order: order::read(path),
            manifest: Manifest::read(path).ok(),
            result: Provenance::read(path).result().clone(),
        })
    }

    fn value(&self, key: &str) -> String {
        self.combination.set.get(key).map(plain).unwrap_or_default()
    }

    /// `steps 4, seed 1`.
    fn label(&self, keys: &[Key<'_>]) -> String {
        let words = keys.iter().filter(|key| self.combination.set.contains_key(key.path));
        words.map(|key| format!("{} {}", key.name, self.value(key.path))).collect::<Vec<_>>().join(", ")
    }

    /// Why the last command failed. A finished run is finished, although a later command was refused.
    fn error(&self) -> Option<&str> {
        if self.manifest.is_some() {
            return None;
        }
        self.combination.error.as_ref()?["message"].as_str()
    }
}

/// A key that the combinations set.
struct Key<'a> {
    path: &'a str,
    /// Its last part, unless another key has the same.
    name: &'a str,
}

/// The section of the combinations among the sub-folders of the page, if there are any.
pub(super) fn section(folders: &[(PathBuf, String)], rows: u64, budget: &mut Budget) -> Option<Section> {
    let inner = folders.iter().filter(|(_, place)| !place.is_empty());
    let mut members: Vec<Member<'_>> = inner.filter_map(|(path, place)| Member::read(path, place)).collect();
    members.sort_by(|one, other| compared(&one.combination.set, &other.combination.set));
    let order = members.iter().find_map(|member| member.order.as_ref());
    let title = match (members.is_empty(), order) {
        (true, _) => return None,
        (false, Some(order)) => name_of(&order.job).0.to_string(),
        (false, None) => "sweep".to_string(),
    };
    let keys = keys(&members);
    let body = html! {
        div.panel { h3 { "Combinations" } (table(&members, &keys)) }
        (samples::side_by_side(&members, &keys, rows, budget))
    };
    let facts = facts(&members);
    Some(Section { kind: Kind::Sweep, title, place: String::new(), facts, body })
}

/// Numbers are compared as numbers, other values as text.
fn compared(one: &Map<String, Value>, other: &Map<String, Value>) -> Ordering {
    let pairs = one.iter().filter_map(|(key, value)| Some((value, other.get(key)?)));
    let ordered = pairs.map(|(one, other)| match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one.total_cmp(&other),
        _ => plain(one).cmp(&plain(other)),
    });
    ordered.fold(Ordering::Equal, Ordering::then)
}

fn keys<'a>(members: &'a [Member<'_>]) -> Vec<Key<'a>> {
    let mut paths: Vec<&str> = Vec::new();
    for path in members.iter().flat_map(|member| member.combination.set.keys()) {
        if !paths.contains(&path.as_str()) {
            paths.push(path);
        }
    }
    let is_alone = |name: &str| paths.iter().filter(|path| last(path) == name).count() == 1;
    let key = |path: &'a str| Key { path, name: if is_alone(last(path)) { last(path) } else { path } };
    paths.iter().copied().map(key).collect()
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

fn facts(members: &[Member<'_>]) -> Vec<String> {
    let failed = members.iter().filter(|member| member.error().is_some()).count();
    let open = members.iter().filter(|member| member.error().is_none() && member.manifest.is_none()).count();
    let count = if members.len() == 1 { "1 combination".into() } else { format!("{} combinations", members.len()) };
    let parts = [(failed, "failed"), (open, "unfinished")].into_iter().filter(|(count, _)| *count > 0);
    std::iter::once(count).chain(parts.map(|(count, word)| format!("{count} {word}"))).collect()
}

fn table(members: &[Member<'_>], keys: &[Key<'_>]) -> Markup {
    html! {
        div.wide { table {
            thead { tr {
                @for key in keys { th { (key.path) } }
                th.number { "rows" } th.number { "failed rows" } th.number { "time" } th.number { "rows/s" }
                th { "state" } th { "folder" }
            } }
            tbody { @for member in members { tr {
                @for key in keys { td { (member.value(key.path)) } }
                (figures(member))
                td { (state(member)) }
                td.mono { (member.place) }
            } } }
        } }
    }
}

fn figures(member: &Member<'_>) -> Markup {
    let result = |name: &str, shown: fn(f64) -> String| member.result[name].as_f64().map(shown);
    let manifest = member.manifest.as_ref();
    let cells = [
        manifest.map(|manifest| manifest.rows.to_string()),
        manifest.map(|manifest| manifest.failures.to_string()),
        result("seconds", duration),
        result("rows_per_second", significant),
    ];
    html! { @for cell in cells { td.number { @if let Some(cell) = cell { (cell) } @else { span.dim { "–" } } } } }
}

fn state(member: &Member<'_>) -> Markup {
    match (member.error(), &member.manifest) {
        (Some(error), _) => html! { span.failed title=(error) { "failed" } " " (error) },
        (None, Some(_)) => html! { span.passed { "done" } },
        (None, None) => html! { span.dim { "unfinished" } },
    }
}
