//! Rule: a contrastive loss compares two parts whose embeddings have the same size.

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{ModelGraph, Training};
use crate::problem::Problem;
use crate::spec::StageSpec;

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
}

/// Exactly one of the trained parts differs from the partner.
fn two_parts(stage: &StageSpec, partner: &str, report: &mut Report) {
    let found = stage.train.iter().filter(|name| name.value != partner).count();
    if found != 1 {
        let what = format!("`train` of {}", stage.label());
        let wanted = format!("exactly one prompt or stream besides `{partner}`");
        report.error(stage.span, Problem::WrongCount { what, wanted, found });
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
        let one = format!("`{}` is {found:?}", name.value);
        let other = format!("`{partner}` is {wanted:?}");
        report.error(name.span, Problem::Mismatch { what: "sizes", one, other });
    }
}
