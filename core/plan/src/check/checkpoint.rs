//! Rule: a model that is used has the weights of its parts; only a training does without.

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{Evaluation, ModelGraph, Pipeline};
use crate::problem::{CodeEntry, problems};

problems! {
    /// A model without weights.
    pub(crate) enum CheckpointProblem {
        /// A pipeline or an evaluation uses a model that has networks, but does not name the file with their weights.
        /// Example: `model: model.yaml` in a pipeline, where `model.yaml` has `denoisers` and no `checkpoint`.
        /// Cure: Add `checkpoint: FILE` to the model. A training writes that file.
        #[error("the model lacks the key `checkpoint`, the file with its weights")]
        NoCheckpoint {},
    }
}

pub(super) struct Checkpoint;

impl Rule for Checkpoint {
    fn pipeline(&self, pipeline: &Pipeline, report: &mut Report) {
        check(pipeline.model, report);
    }

    fn evaluation(&self, evaluation: &Evaluation, report: &mut Report) {
        evaluation.models.iter().for_each(|model| check(model, report));
    }

    fn codes(&self) -> Vec<CodeEntry> {
        CheckpointProblem::codes()
    }
}

fn check(model: &ModelGraph, report: &mut Report) {
    if model.has_networks() && !model.has_checkpoint {
        report.error(model.span, CheckpointProblem::NoCheckpoint {});
    }
}
