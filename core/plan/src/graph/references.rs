//! The names of parts of the model in options.

use crate::error::Report;
use crate::graph::ModelGraph;
use crate::spec::unknown;
use crate::surface::Reference;

/// Reports names that the model does not have.
pub(super) fn check_references(references: &[Reference], model: &ModelGraph, report: &mut Report) {
    for Reference { part, name, .. } in references {
        let known = model.names(*part);
        if !known.contains(&name.value.as_str()) {
            unknown(part.word(), name, known, report);
        }
    }
}
