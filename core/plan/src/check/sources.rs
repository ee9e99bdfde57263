//! Rule: sources are read by tables, or by generators of other sources.

use indexmap::IndexMap;

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{Evaluation, Training};
use crate::plan::Generated;
use crate::problem::Caution;
use crate::source::SpannedString;
use crate::spec::{SourceSpec, TableSpec};

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
        let what = "source".into();
        let name = source.name.value.clone();
        report.warning(source.name.span, Caution::Unused { what, name, consequence: " by any table".into() });
    }
}
