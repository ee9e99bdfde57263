//! Rule: prompts of one denoiser are mixed, so they have the same shape.

use crate::check::Rule;
use crate::error::Report;
use crate::graph::ModelGraph;
use crate::problem::Problem;
use crate::source::SpannedString;
use crate::spec::ModelSpec;

pub(super) struct Prompts;

impl Rule for Prompts {
    fn model(&self, spec: &ModelSpec, model: &ModelGraph, report: &mut Report) {
        let shape = |name: &SpannedString| model.prompts.get(&name.value)?.plan.as_ref().map(|plan| &plan.tokens);
        for denoiser in &spec.denoisers {
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
