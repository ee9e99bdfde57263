//! Tables: their columns come from existing sources, for existing streams, and several sources are joined.

use indexmap::IndexMap;

use crate::error::Report;
use crate::graph::ModelGraph;
use crate::plan::{ColumnRef, Table};
use crate::problem::{Caution, Hint, problems};
use crate::source::SpannedString;
use crate::spec::{SourceSpec, TableSpec, unknown};

problems! {
    /// What can be wrong with a table.
    pub(crate) enum TableProblem {
        /// A table lacks a column that a stage or task reads.
        /// Example: A stage that trains a denoiser over two streams, on a table with the column of one.
        /// Cure: Add the column to `columns` of the table, or train fewer streams.
        #[error("table `{table}` has no column for {wanted}, which {reader} reads")]
        MissingColumn { table: String, wanted: String, reader: String },
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
        let reason = format!("{label} has no `class`");
        report.warning(first.span, Caution::NoEffect { key: "classes".into(), reason });
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
            let reason = format!("all columns of {label} come from `{}`", used[0]);
            report.warning(join.span, Caution::NoEffect { key: "join".into(), reason });
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

/// Reports a column that a table lacks.
pub(crate) fn missing_column(table: &str, wanted: &str, reader: &str, at: &SpannedString, report: &mut Report) {
    let problem = TableProblem::MissingColumn { table: table.into(), wanted: wanted.into(), reader: reader.into() };
    report.error(at.span, problem);
}

/// True if a table has a column for a stream or prompt, or for an unknown name, which may be a misspelling and was reported.
pub(crate) fn has_column(table: &TableSpec, stream: &str, model: &ModelGraph) -> bool {
    table.columns.iter().any(|(name, _)| name.value == stream || !model.has(&name.value))
}
