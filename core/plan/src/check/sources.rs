//! Rule: sources are read by tables, or by generators of other sources.

use indexmap::IndexMap;

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{Evaluation, Training};
use crate::plan::Generated;
use crate::problem::{CodeEntry, problems};
use crate::source::SpannedString;
use crate::spec::{SourceSpec, TableSpec};

problems! {
    /// Sources that nothing reads.
    pub(crate) enum SourceProblem {
        /// No column of a table, and no generator, comes from a source.
        /// Example: `sources: {old: old.parquet}` without a column `old.NAME`.
        /// Cure: Read a column of it, or remove the source.
        #[error("source `{name}` is not used by any table")]
        UnusedSource { name: String },
    }
}

pub(super) struct Sources;

impl Rule for Sources {
    fn training(&self, training: &Training, report: &mut Report) {
        check(&training.spec.sources, &training.generated, columns(&training.spec.data), report);
    }

    fn evaluation(&self, evaluation: &Evaluation, report: &mut Report) {
        let spec = evaluation.spec;
        let columns = columns(&spec.data).chain(spec.reference.iter().map(|(_, written)| written));
        check(&spec.sources, &evaluation.generated, columns, report);
    }

    fn codes(&self) -> Vec<CodeEntry> {
        SourceProblem::codes()
    }
}

/// The columns that tables read.
fn columns<'t>(tables: impl IntoIterator<Item = &'t TableSpec>) -> impl Iterator<Item = &'t SpannedString> {
    let columns = |table: &'t TableSpec| table.columns.iter().map(|(_, written)| written).chain(&table.class);
    tables.into_iter().flat_map(columns)
}

fn check<'t>(
    sources: &[SourceSpec],
    generated: &IndexMap<String, Generated>,
    written: impl Iterator<Item = &'t SpannedString>,
    report: &mut Report,
) {
    let of_tables = written.filter_map(|text| Some(text.value.split_once('.')?.0));
    let of_generators = generated.values().flat_map(|made| made.sources.values()).map(String::as_str);
    let read: Vec<&str> = of_tables.chain(of_generators).collect();
    for source in sources.iter().filter(|source| !read.contains(&source.name.value.as_str())) {
        report.warning(source.name.span, SourceProblem::UnusedSource { name: source.name.value.clone() });
    }
}
