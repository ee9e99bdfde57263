//! Tables: their columns come from existing sources, for existing streams, and several sources are joined.

use indexmap::IndexMap;

use crate::error::Report;
use crate::graph::ModelGraph;
use crate::plan::{ColumnRef, Table};
use crate::problem::{Hint, problems};
use crate::source::SpannedString;
use crate::spec::{SourceSpec, TableSpec, unknown};

problems! {
    /// What can be wrong with a table.
    pub(crate) enum TableProblem {
        /// A table takes columns from several sources, but no column says which rows belong together.
        /// Example: `columns: {x: one.x, y: two.y}` without `join`.
        /// Cure: Add `join: COLUMN`, a column that all sources have.
        #[error("{table} takes columns from {} and needs a `join`", .sources.join(" and "))]
        NoJoin { table: String, sources: Vec<String> },
        /// A reference to a column is not of the form `source.column`.
        /// Example: `columns: {x: pixels}`.
        /// Cure: Write the name of the source, a dot, and the name of the column.
        #[error("`{text}` is not of the form `source.column`{hint}")]
        NotAColumn { text: String, hint: Hint },
        /// A table names classes, but no column says which class a row has.
        /// Example: `classes: [cat, dog]` without `class`.
        /// Cure: Add `class: SOURCE.COLUMN`, or remove `classes`.
        #[error("`classes` has no effect: {table} has no `class`")]
        ClassesWithoutClass { table: String },
        /// A table joins its sources, and it has only one.
        /// Example: `columns: {x: one.x, y: one.y}` with `join: id`.
        /// Cure: Remove `join`.
        #[error("`join` has no effect: all columns of {table} come from `{origin}`")]
        JoinOfOne { table: String, origin: String },
    }
}

/// Resolves a table; wrong parts are reported and left out.
pub(crate) fn resolve_table(
    spec: &TableSpec,
    label: &str,
    sources: &[SourceSpec],
    model: &ModelGraph,
    report: &mut Report,
) -> Table {
    let mut columns = IndexMap::new();
    for (stream, written) in &spec.columns {
        if !model.has(&stream.value) {
            let known = model.streams.keys().chain(model.prompts.keys());
            unknown("stream or prompt", stream, known.map(String::as_str), report);
        }
        if let Some(column) = resolve_column(written, sources, report) {
            columns.insert(stream.value.clone(), column);
        }
    }
    let class = spec.class.as_ref().and_then(|written| resolve_column(written, sources, report));
    let join = join(spec, label, columns.values().chain(&class), report);
    if let (None, Some(first)) = (&spec.class, spec.classes.first()) {
        report.warning(first.span, TableProblem::ClassesWithoutClass { table: label.into() });
    }
    let classes = spec.classes.iter().map(|class| class.value.clone()).collect();
    Table { join, columns, class, classes }
}

/// The column of a reference `source.column`.
pub(crate) fn resolve_column(
    written: &SpannedString,
    sources: &[SourceSpec],
    report: &mut Report,
) -> Option<ColumnRef> {
    let Some((source, column)) = written.value.split_once('.').filter(|(_, column)| !column.is_empty()) else {
        let hint = sources.first().map(|source| Hint::exactly(format!("{}.{}", source.name.value, written.value)));
        let problem = TableProblem::NotAColumn { text: written.value.clone(), hint: hint.unwrap_or_default() };
        report.error(written.span, problem);
        return None;
    };
    if !sources.iter().any(|known| known.name.value == source) {
        let name = SpannedString::new(source.to_string(), written.span);
        unknown("source", &name, sources.iter().map(|known| known.name.value.as_str()), report);
        return None;
    }
    Some(ColumnRef { source: source.to_string(), column: column.to_string() })
}

/// The column to join on: required for several sources, without effect for one.
fn join<'c>(
    spec: &TableSpec,
    label: &str,
    columns: impl Iterator<Item = &'c ColumnRef>,
    report: &mut Report,
) -> Option<String> {
    let mut used: Vec<String> = Vec::new();
    for column in columns {
        if !used.contains(&column.source) {
            used.push(column.source.clone());
        }
    }
    match &spec.join {
        Some(join) if used.len() == 1 => {
            report.warning(join.span, TableProblem::JoinOfOne { table: label.into(), origin: used.remove(0) });
            None
        }
        Some(join) => Some(join.value.clone()),
        None => {
            if used.len() > 1 {
                report.error(spec.name.span, TableProblem::NoJoin { table: label.into(), sources: used });
            }
            None
        }
    }
}

/// True if a table has a column for a stream or prompt, or for an unknown name, which may be a misspelling and was reported.
pub(crate) fn has_column(table: &TableSpec, stream: &str, model: &ModelGraph) -> bool {
    table.columns.iter().any(|(name, _)| name.value == stream || !model.has(&name.value))
}
