//! Rule: a contrastive loss compares two parts whose embeddings have the same size.

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{ModelGraph, Training};
use crate::problem::{CodeEntry, problems};
use crate::spec::StageSpec;

problems! {
    /// Parts that a contrastive loss cannot compare.
    pub(crate) enum ContrastProblem {
        /// A contrastive loss compares one trained part with its partner, and the stage trains none, or several.
        /// Example: `train: [a, b]` with `objective: {kind: contrast, with: words}`.
        /// Cure: Train one prompt or stream besides the partner, each pair in a stage of its own.
        #[error("`train` of {stage} must list exactly one prompt or stream besides `{partner}`, found {found}")]
        ContrastParts { stage: String, partner: String, found: usize },
        /// The embeddings of the two parts of a contrastive loss have different sizes, so they have no cosine.
        /// Example: A stream with the latent [24] and a prompt with the tokens [4, 16].
        /// Cure: Give both the same number of elements, by other modules or other parameters.
        #[error("sizes do not match: `{part}` is {found:?}, but `{partner}` is {wanted:?}")]
        ContrastSizes { part: String, found: Vec<i64>, partner: String, wanted: Vec<i64> },
    }
}

pub(super) struct Contrast;

impl Rule for Contrast {
    fn training(&self, training: &Training, report: &mut Report) {
        for stage in &training.stages {
            let Some(partner) = stage.spec.objective.as_ref().and_then(|it| it.facts().partner()) else { continue };
            if training.model.has(partner) && !stage.spec.train.is_empty() {
                two_parts(stage.spec, partner, report);
                one_size(stage.spec, partner, training.model, report);
            }
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        ContrastProblem::codes()
    }
}

/// Exactly one of the trained parts differs from the partner.
fn two_parts(stage: &StageSpec, partner: &str, report: &mut Report) {
    let found = stage.train.iter().filter(|name| name.value != partner).count();
    if found != 1 {
        let partner = partner.to_string();
        report.error(stage.span, ContrastProblem::ContrastParts { stage: stage.label(), partner, found });
    }
}

fn one_size(stage: &StageSpec, partner: &str, model: &ModelGraph, report: &mut Report) {
    let shape = |name: &str| match model.prompts.get(name) {
        Some(prompt) => prompt.plan.as_ref()?.tokens(),
        None => model.shape(name).map(<[i64]>::to_vec),
    };
    let Some(wanted) = shape(partner) else { return };
    let size = |shape: &[i64]| shape.iter().product::<i64>();
    for name in &stage.train {
        let Some(found) = shape(&name.value).filter(|found| size(found) != size(&wanted)) else { continue };
        let (part, partner, wanted) = (name.value.clone(), partner.to_string(), wanted.clone());
        report.error(name.span, ContrastProblem::ContrastSizes { part, found, partner, wanted });
    }
}
