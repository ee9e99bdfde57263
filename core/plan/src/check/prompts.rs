//! Rule: prompts of one denoiser are mixed, so they have the same shape.

use crate::check::Rule;
use crate::error::Report;
use crate::graph::ModelGraph;
use crate::plan::PromptConfig;
use crate::problem::Problem;
use crate::source::SpannedString;
use crate::spec::ModelSpec;

pub(super) struct Prompts;

impl Rule for Prompts {
    fn model(&self, spec: &ModelSpec, model: &ModelGraph, report: &mut Report) {
        let shape = |name: &SpannedString| model.prompts.get(&name.value)?.plan.as_ref()?.tokens();
        for denoiser in &spec.denoisers {
            for name in denoiser.prompts.iter().filter(|name| is_numbers(model, name)) {
                let one = format!("prompt `{}` is numbers", name.value);
                let other = format!("denoiser `{}` attends to tokens; list it in `vectors`", denoiser.name.value);
                report.error(name.span, Problem::Mismatch { what: "prompts", one, other });
            }
            let mut shapes = denoiser.prompts.iter().filter_map(|name| Some((name, shape(name)?)));
            let Some((first, wanted)) = shapes.next() else { continue };
            for (name, found) in shapes.filter(|(_, found)| *found != wanted) {
                let one = format!("prompt `{}` is {found:?}", name.value);
                let other = format!("prompt `{}` is {wanted:?}", first.value);
                report.error(name.span, Problem::Mismatch { what: "tokens", one, other });
            }
        }
    }
}

/// True for a prompt of numbers, which denoisers cannot attend to.
fn is_numbers(model: &ModelGraph, name: &SpannedString) -> bool {
    let plan = model.prompts.get(&name.value).and_then(|prompt| prompt.plan.as_ref());
    matches!(plan, Some(PromptConfig::Numbers(_)))
}
