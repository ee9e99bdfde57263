//! Rule: prompts of one denoiser are mixed, so they have the same shape.

use crate::check::Rule;
use crate::error::Report;
use crate::graph::ModelGraph;
use crate::plan::PromptConfig;
use crate::problem::{CodeEntry, problems};
use crate::source::SpannedString;
use crate::spec::ModelSpec;

problems! {
    /// Prompts that one denoiser cannot attend to.
    pub(crate) enum PromptsProblem {
        /// A denoiser attends to the tokens of its prompts, and one of them is numbers.
        /// Example: `prompts: [size]` of a denoiser, where `size` is a prompt without a module.
        /// Cure: List the prompt in `vectors` of the denoiser.
        #[error("prompt `{prompt}` is numbers, but denoiser `{denoiser}` attends to tokens; list it in `vectors`")]
        PromptOfNumbers { prompt: String, denoiser: String },
        /// A denoiser mixes its prompts, and their tokens have different shapes.
        /// Example: `prompts: [words, picture]` with tokens of the shapes [8, 64] and [4, 64].
        /// Cure: Use modules or parameters that make tokens of the same shape.
        #[error("tokens do not match: prompt `{prompt}` is {found:?}, but prompt `{first}` is {wanted:?}")]
        PromptShapes { prompt: String, found: Vec<i64>, first: String, wanted: Vec<i64> },
    }
}

pub(super) struct Prompts;

impl Rule for Prompts {
    fn model(&self, spec: &ModelSpec, model: &ModelGraph, report: &mut Report) {
        let shape = |name: &SpannedString| model.prompts.get(&name.value)?.plan.as_ref()?.tokens();
        for denoiser in &spec.denoisers {
            for name in denoiser.prompts.iter().filter(|name| is_numbers(model, name)) {
                let (prompt, denoiser) = (name.value.clone(), denoiser.name.value.clone());
                report.error(name.span, PromptsProblem::PromptOfNumbers { prompt, denoiser });
            }
            let mut shapes = denoiser.prompts.iter().filter_map(|name| Some((name, shape(name)?)));
            let Some((first, wanted)) = shapes.next() else { continue };
            for (name, found) in shapes.filter(|(_, found)| *found != wanted) {
                let (prompt, first, wanted) = (name.value.clone(), first.value.clone(), wanted.clone());
                report.error(name.span, PromptsProblem::PromptShapes { prompt, found, first, wanted });
            }
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        PromptsProblem::codes()
    }
}

/// True for a prompt of numbers, which denoisers cannot attend to.
fn is_numbers(model: &ModelGraph, name: &SpannedString) -> bool {
    let plan = model.prompts.get(&name.value).and_then(|prompt| prompt.plan.as_ref());
    matches!(plan, Some(PromptConfig::Numbers(_)))
}
