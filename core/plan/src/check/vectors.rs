//! Rule: vectors join the time of a denoiser whose network has a place for them, and a pipeline gives them.

use anyflow_config::network::Architecture;

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{Evaluation, ModelGraph, Training};
use crate::plan::Trained;
use crate::problem::{CodeEntry, problems};
use crate::source::Span;
use crate::spec::ModelSpec;

problems! {
    /// What can be wrong with vectors that join the time.
    pub(crate) enum VectorProblem {
        /// The network of a denoiser has no place for vectors beside its time.
        /// Example: `vectors: {from: [words.pooled]}` with `network: {kind: residual-mlp}`.
        /// Cure: Use a `unet` over all streams of the denoiser, or remove `vectors`.
        #[error("network `{network}` of denoiser `{denoiser}` cannot take vectors; only a `unet` can")]
        VectorsNotTaken { denoiser: String, network: &'static str },
        /// A training or an evaluation uses a denoiser with vectors, or with a prompt of several prompts or of numbers, for
        /// which a table has no column.
        /// Example: `train: painter`, a denoiser with `vectors: {from: [words.pooled]}`.
        /// Cure: Train or evaluate another denoiser, or measure the rows that a pipeline made.
        #[error("denoiser `{denoiser}` reads `{value}`, which only a pipeline can make")]
        OnlyInPipelines { denoiser: String, value: String },
    }
}

pub(super) struct Vectors;

impl Rule for Vectors {
    fn model(&self, spec: &ModelSpec, _model: &ModelGraph, report: &mut Report) {
        for denoiser in spec.denoisers.iter().filter(|denoiser| denoiser.vectors.is_some()) {
            let Some(network) = &denoiser.network else { continue };
            if !network.whole().is_some_and(Architecture::takes_vectors) {
                let name = denoiser.name.value.clone();
                let problem = VectorProblem::VectorsNotTaken { denoiser: name, network: network.name() };
                report.error(denoiser.name.span, problem);
            }
        }
    }

    fn training(&self, training: &Training, report: &mut Report) {
        for stage in &training.stages {
            if let (Some(Trained::Denoiser { name, .. }), Some(at)) = (&stage.train, stage.spec.train.first()) {
                only_tokens(name, training.model, at.span, report);
            }
        }
    }

    fn evaluation(&self, evaluation: &Evaluation, report: &mut Report) {
        for (name, variant) in evaluation.variants.iter().flatten() {
            only_tokens(&variant.denoiser, evaluation.model_of(variant), evaluation.place_of(name), report);
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        VectorProblem::codes()
    }
}

/// Refuses a denoiser with a condition that is not the tokens of one prompt.
fn only_tokens(denoiser: &str, model: &ModelGraph, at: Span, report: &mut Report) {
    let Some((_, Some(plan))) = model.denoisers.get(denoiser) else { return };
    let mut vectors = plan.vectors.iter().flat_map(|vectors| vectors.from.keys());
    let is_encoded = |prompt: &&String| {
        let plan = model.prompts.get(*prompt).and_then(|node| node.plan.as_ref());
        plan.is_none_or(|plan| plan.encoded().is_some())
    };
    if let Some(value) = plan.prompts.iter().find(|prompt| !is_encoded(prompt)).or_else(|| vectors.next()) {
        report.error(at, VectorProblem::OnlyInPipelines { denoiser: denoiser.into(), value: value.clone() });
    }
}
