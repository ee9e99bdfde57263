//! Classification by the predicted x0 of a stream, resolved against the model.

use crate::component;
use crate::descriptor::{CellKind, Role};
use crate::error::Report;
use crate::graph::{ModelGraph, encoding};
use crate::plan::{Form, Scoring, Type};
use crate::problem::problems;
use crate::spec::ScoringSpec;

problems! {
    /// What can be wrong with a classification.
    pub(crate) enum ScoreProblem {
        /// A classification compares classes with a stream whose cells are no strings.
        /// Example: `score: x` with `classes`, where the codec of `x` reads bytes.
        /// Cure: Score a stream whose cells are strings, or remove `classes`.
        #[error("stream `{stream}` holds {cells}, but class names are strings; score a text stream")]
        ClassesAreStrings { stream: String, cells: String },
    }
}

/// The ports of a `score` node.
pub(crate) const PORTS: [&str; 2] = [LABEL, SCORES];
/// The name of the best class.
pub(crate) const LABEL: &str = "label";
/// The score of each class, in the order of the classes.
pub(crate) const SCORES: &str = "scores";
/// The features from which a scorer computes its scores.
pub(crate) const FEATURES: &str = "features";

/// Refuses a stream that cannot be encoded, or whose cells cannot hold the name of a class.
pub(crate) fn resolve_scoring(spec: &ScoringSpec, model: &ModelGraph, report: &mut Report) -> Option<Scoring> {
    let node = model.streams.get(&spec.stream.value)?;
    let plan = node.plan.as_ref()?;
    if let Some(module) = node.module.as_ref().filter(|module| encoding(module.descriptor).is_none()) {
        component::need_role(module.descriptor, Role::Encode, &module.placed.component, spec.stream.span, report)?;
    }
    let is_string = matches!(plan.cells.form, Form::Cells { cell: CellKind::Utf8, .. });
    if !is_string && !spec.classes.names.is_empty() {
        let stream = spec.stream.value.clone();
        let cells = plan.cells.to_string();
        report.error(spec.stream.span, ScoreProblem::ClassesAreStrings { stream, cells });
        return None;
    }
    Some(Scoring { stream: spec.stream.value.clone(), classes: spec.classes.cells(), samples: spec.samples })
}

/// The type that leaves a port.
pub(crate) fn type_of_port(port: &str, modality: &str) -> Type {
    let (cell, feature) = match port {
        LABEL => (CellKind::Utf8, "Value(string)"),
        _ => (CellKind::List(1), "List(Value(float32))"),
    };
    Type { modality: modality.to_string(), form: Form::Cells { cell, feature: feature.to_string() } }
}
