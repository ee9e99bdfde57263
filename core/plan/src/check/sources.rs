//! Rule: sources are read by tables, and shapes of generated sources come from files.

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{Evaluation, Training};
use crate::problem::Caution;
use crate::source::SpannedString;
use crate::spec::{SourceSpec, TableSpec, unknown};

pub(super) struct Sources;

impl Rule for Sources {
    fn training(&self, training: &Training, report: &mut Report) {
        check(&training.spec.sources, columns(&training.spec.data), report);
    }

    fn evaluation(&self, evaluation: &Evaluation, report: &mut Report) {
        let spec = evaluation.spec;
        check(&spec.sources, columns(&spec.data).chain(spec.reference.iter().map(|(_, written)| written)), report);
    }
}

/// The columns that tables read.
fn columns<'t>(tables: impl IntoIterator<Item = &'t TableSpec>) -> impl Iterator<Item = &'t SpannedString> {
    let columns = |table: &'t TableSpec| table.columns.iter().map(|(_, written)| written).chain(&table.class);
    tables.into_iter().flat_map(columns)
}

fn check<'t>(sources: &[SourceSpec], written: impl Iterator<Item = &'t SpannedString>, report: &mut Report) {
    let files = || sources.iter().filter(|source| source.generated.is_none());
    let shapes: Vec<&SpannedString> = sources.iter().filter_map(|source| source.shapes.as_ref()).collect();
    for shapes in &shapes {
        if !files().any(|source| source.name.value == shapes.value && !source.paths.is_empty()) {
            unknown("source of files", shapes, files().map(|source| source.name.value.as_str()), report);
        }
    }
    let of_tables = written.filter_map(|text| Some(text.value.split_once('.')?.0));
    let read: Vec<&str> = of_tables.chain(shapes.iter().map(|shapes| shapes.value.as_str())).collect();
    for source in sources.iter().filter(|source| !read.contains(&source.name.value.as_str())) {
        let what = "source".into();
        let name = source.name.value.clone();
        report.warning(source.name.span, Caution::Unused { what, name, consequence: " by any table".into() });
    }
}
