//! Rule: what a stage trains has weights, by an interface with gradients.

use crate::check::Rule;
use crate::component::{need_gradients, need_role};
use crate::descriptor::Role;
use crate::error::Report;
use crate::graph::{ModelGraph, Training};
use crate::plan::Trained;
use crate::problem::{CodeEntry, problems};
use crate::source::SpannedString;

problems! {
    /// Trained parts without weights.
    pub(crate) enum TrainableProblem {
        /// A stage trains a stream or scorer that uses only a codec. A codec has no weights.
        /// Example: `train: label` with objective `reconstruct`, where stream `label` has no module.
        /// Cure: Train something else, or add a module.
        #[error("{what} `{name}` has no module, and a codec has no weights to train")]
        NoWeights { what: &'static str, name: String },
    }
}

pub(super) struct Trainable;

impl Rule for Trainable {
    fn training(&self, training: &Training, report: &mut Report) {
        for stage in &training.stages {
            let Some(name) = stage.spec.train.first() else { continue };
            match &stage.train {
                Some(Trained::Stream { .. }) => stream(name, training.model, report),
                Some(Trained::Scorer { .. }) => scorer(name, training, report),
                _ => {}
            }
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        TrainableProblem::codes()
    }
}

/// The module of a trained stream encodes and decodes.
fn stream(name: &SpannedString, model: &ModelGraph, report: &mut Report) {
    let Some(stream) = model.streams.get(&name.value) else { return };
    if !stream.has_module {
        report.error(name.span, TrainableProblem::NoWeights { what: "stream", name: name.value.clone() });
    }
    let Some(module) = &stream.module else { return };
    let component = &module.placed.component;
    if need_gradients(module.descriptor, component, name.span, report).is_some() {
        for role in [Role::Encode, Role::Decode] {
            need_role(module.descriptor, role, component, name.span, report);
        }
    }
}

fn scorer(name: &SpannedString, training: &Training, report: &mut Report) {
    let Some(spec) = training.spec.scorers.iter().find(|scorer| scorer.name.value == name.value) else { return };
    let (Some(stream), Some(score)) = (&spec.stream, &spec.score) else { return };
    let codec = training.model.streams.get(&stream.value).and_then(|stream| stream.codec.as_ref());
    if codec == Some(&score.component.value) {
        report.error(name.span, TrainableProblem::NoWeights { what: "scorer", name: name.value.clone() });
    }
}
