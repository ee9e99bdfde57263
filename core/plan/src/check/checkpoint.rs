//! Rule: a model that is used has the weights of its parts; only a training does without.

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{Evaluation, ModelGraph, Pipeline};
use crate::problem::Problem;

pub(super) struct Checkpoint;

impl Rule for Checkpoint {
    fn pipeline(&self, pipeline: &Pipeline, report: &mut Report) {
        check(pipeline.model, report);
    }

    fn evaluation(&self, evaluation: &Evaluation, report: &mut Report) {
        evaluation.models.iter().for_each(|model| check(model, report));
    }
}

fn check(model: &ModelGraph, report: &mut Report) {
    if model.has_networks() && !model.has_checkpoint {
        let problem = Problem::MissingKey { key: "checkpoint".into(), within: "the model".into() };
        report.error(model.span, problem);
    }
}
