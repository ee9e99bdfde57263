//! What every rule is.

use crate::error::Report;
use crate::graph::{Evaluation, ModelGraph, Pipeline, Training};
use crate::problem::CodeEntry;
use crate::spec::ModelSpec;

/// A rule: what it checks in each kind of file, and the codes of its own problems.
pub(crate) trait Rule: Sync {
    /// Checks a model.
    fn model(&self, _spec: &ModelSpec, _model: &ModelGraph, _report: &mut Report) {}

    /// Checks a pipeline.
    fn pipeline(&self, _pipeline: &Pipeline, _report: &mut Report) {}

    /// Checks a training.
    fn training(&self, _training: &Training, _report: &mut Report) {}

    /// Checks an evaluation.
    fn evaluation(&self, _evaluation: &Evaluation, _report: &mut Report) {}

    /// The codes of the problems that the rule declares.
    fn codes(&self) -> Vec<CodeEntry>;
}
