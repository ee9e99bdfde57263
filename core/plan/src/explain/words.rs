//! Words and tables shared by all printed plans.

use std::fmt::Display;

use anyflow_config::Given;
use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::plan::{Generated, Roles, Scoring, StreamRole, Table};
use crate::style::WIDEST_COLUMN;

/// A heading and rows of words in columns, two spaces apart. Empty columns and sections are left out.
pub(crate) fn section(heading: &str, mut rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    for column in (1..columns).rev() {
        if rows.iter().all(|row| row.get(column).is_none_or(String::is_empty)) {
            rows.iter_mut().filter(|row| row.len() > column).for_each(|row| {
                row.remove(column);
            });
        }
    }
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|word| word.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let padded =
            row.iter().zip(&widths).map(|(word, width)| format!("{word:<width$}", width = (*width).min(WIDEST_COLUMN)));
        format!("  {}", padded.collect::<Vec<_>>().join("  ")).trim_end().to_string()
    };
    format!("{heading}\n{}\n", rows.iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// A classification in words.
pub(crate) fn classification(scoring: &Scoring) -> String {
    format!("predicts {} x {} among {}", scoring.stream, scoring.samples, described(&scoring.classes))
}

/// Classes with their cells in words.
pub(crate) fn described(classes: &IndexMap<String, Vec<String>>) -> String {
    match classes.values().map(Vec::len).max() {
        None => "the values of all rows".to_string(),
        Some(1) => format!("{} classes", classes.len()),
        Some(cells) => format!("{} classes of {cells} cells each", classes.len()),
    }
}

/// The roles of streams in words, `observes a = b`, except that of the outputs; those with one of the `wanted` words.
pub(crate) fn roles(roles: &Roles, wanted: &[&'static str]) -> Vec<String> {
    let mut lists: IndexMap<&str, Vec<String>> = wanted.iter().map(|word| (*word, Vec::new())).collect();
    for (stream, role) in &roles.0 {
        let (word, items) = match role {
            StreamRole::Observe { from, .. } => (OBSERVES, vec![format!("{stream} = {from}")]),
            StreamRole::Inpaint { from, mask, .. } => (OBSERVES, vec![format!("{stream} = {from} (mask {mask})")]),
            StreamRole::Condition { from, .. } => {
                (CONDITIONS, from.iter().map(|(tokens, weight)| format!("{tokens} x {weight}")).collect())
            }
            StreamRole::Generate { start } => {
                (STARTS, start.iter().map(|from| format!("{stream} from {from}")).collect())
            }
            StreamRole::Marginalize => (MARGINALIZES, vec![stream.clone()]),
            StreamRole::Absent => (ABSENT, vec![stream.clone()]),
        };
        if let Some(list) = lists.get_mut(word) {
            list.extend(items);
        }
    }
    lists.retain(|_, list| !list.is_empty());
    lists.iter().map(|(word, items)| format!("{word} {}", list(items))).collect()
}

pub(crate) const OBSERVES: &str = "observes";
pub(crate) const STARTS: &str = "starts";
pub(crate) const CONDITIONS: &str = "conditions";
pub(crate) const MARGINALIZES: &str = "marginalizes";
pub(crate) const ABSENT: &str = "absent";

/// The noise level at which streams are observed.
pub(crate) fn given(roles: &Roles) -> Given {
    let is_noised = |role: &StreamRole| matches!(role, StreamRole::Observe { given: Given::Noised, .. });
    if roles.names(is_noised).next().is_some() { Given::Noised } else { Given::Clean }
}

/// Items separated by commas.
pub(crate) fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// A source: its files, or its generator.
pub(crate) fn source(name: &str, paths: &[String], generated: &IndexMap<String, Generated>) -> String {
    let Some(made) = generated.get(name) else { return list(paths) };
    let word = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_string);
    let parameters = made.parameters.iter().map(|(key, value)| format!(", {key} {}", word(value)));
    let sources = made.sources.iter().map(|(key, from)| format!(", {key} of {from}"));
    let more: String = parameters.chain(sources).collect();
    format!("generated: {}, {} rows, seed {}{more}", made.generate, made.rows, made.seed)
}

/// The columns of a table.
pub(crate) fn table(table: &Table) -> String {
    let columns = table.columns.iter().map(|(stream, from)| format!("{stream} = {}.{}", from.source, from.column));
    let class = table.class.iter().map(|from| format!("class = {}.{}", from.source, from.column));
    let join = table.join.as_ref().map_or(String::new(), |join| format!("; joined on {join}"));
    format!("{}{join}", list(columns.chain(class)))
}

/// Bytes in the largest unit that leaves at least one.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..1024 => format!("{count} B"),
        1024..1_048_576 => format!("{:.1} KiB", count as f64 / 1024.0),
        _ => format!("{:.1} MiB", count as f64 / 1_048_576.0),
    }
}
