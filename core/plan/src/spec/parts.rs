//! Parts of a model whose weights are in files of their own, as written.

use crate::error::Report;
use crate::source::SpannedString;
use crate::surface::{self, Fields};
use crate::yaml::{Content, Entry};

/// A part of a model and the file with its weights.
#[derive(Debug)]
pub(crate) struct PartSpec {
    pub part: SpannedString,
    pub from: Option<SpannedString>,
    /// Its name in that file.
    pub named: Option<SpannedString>,
    /// How the names in that file differ.
    pub map: Option<SpannedString>,
}

/// `checkpoint` of a model.
#[derive(Debug)]
pub(crate) enum CheckpointSpec {
    File(SpannedString),
    Parts(Vec<PartSpec>),
}

/// Reads the parts that a key lists.
pub(crate) fn parts(fields: &Fields, key: &str, report: &mut Report) -> Vec<PartSpec> {
    fields.names(key, report).iter().map(|entry| part(entry, key, report)).collect()
}

/// Reads `checkpoint` of a model.
pub(crate) fn checkpoint(fields: &Fields, report: &mut Report) -> Option<CheckpointSpec> {
    const KEY: &str = "checkpoint";
    match fields.entry(KEY)?.node.content {
        Content::Mapping(_) => Some(CheckpointSpec::Parts(parts(fields, KEY, report))),
        _ => fields.text(KEY, report).map(CheckpointSpec::File),
    }
}

fn part(entry: &Entry, key: &str, report: &mut Report) -> PartSpec {
    let mut spec = PartSpec { part: entry.key.clone(), from: None, named: None, map: None };
    let within = format!("`{}` of `{key}`", entry.key.value);
    if let Some(fields) = Fields::open(&entry.node, &surface::WEIGHTS_PART, within, entry.key.span, report) {
        spec.from = fields.text("from", report);
        spec.named = fields.text("part", report);
        spec.map = fields.text("map", report);
    }
    spec
}
