//! Rule: a training gives a denoiser latents of streams and tokens of encoded prompts, nothing else.

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{ModelGraph, Training};
use crate::plan::{PromptConfig, Trained};
use crate::problem::{CodeEntry, problems};

problems! {
    /// What a training cannot give.
    pub(crate) enum TrainingInputProblem {
        /// A training trains a denoiser with planes, with vectors, or with a prompt that is made of others. Pipelines and
        /// evaluations can give these, trainings cannot.
        /// Example: `train: painter`, a denoiser with `planes: [mask]`.
        /// Cure: Train another denoiser.
        #[error("denoiser `{denoiser}` takes {what} `{name}`, which a training cannot give; pipelines and evaluations can")]
        NotInTrainings { denoiser: String, what: &'static str, name: String },
    }
}

pub(super) struct NotInTrainings;

impl Rule for NotInTrainings {
    fn training(&self, training: &Training, report: &mut Report) {
        for stage in &training.stages {
            if let (Some(Trained::Denoiser { name, .. }), Some(at)) = (&stage.train, stage.spec.train.first())
                && let Some(OtherInput { what, name: input }) = other_input(name, training.model)
            {
                let problem =
                    TrainingInputProblem::NotInTrainings { denoiser: name.clone(), what, name: input.to_string() };
                report.error(at.span, problem);
            }
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        TrainingInputProblem::codes()
    }
}

/// An input of a denoiser that is neither a stream nor an encoded prompt.
struct OtherInput<'m> {
    what: &'static str,
    name: &'m str,
}

/// The first input of a denoiser that is neither a stream nor an encoded prompt.
fn other_input<'m>(denoiser: &str, model: &'m ModelGraph) -> Option<OtherInput<'m>> {
    let (_, plan) = model.denoisers.get(denoiser)?;
    let plan = plan.as_ref()?;
    let is_joined = |prompt: &&String| {
        let plan = model.prompts.get(*prompt).and_then(|node| node.plan.as_ref());
        matches!(plan, Some(PromptConfig::Joined(_)))
    };
    let joined = plan.prompts.iter().filter(is_joined).map(|name| OtherInput { what: "prompt", name });
    let vectors = plan.vectors.iter().flat_map(|vectors| vectors.from.keys());
    let vectors = vectors.map(|name| OtherInput { what: "vector", name });
    let planes = plan.planes.iter().map(|name| OtherInput { what: "plane", name });
    joined.chain(vectors).chain(planes).next()
}
