//! The plan of an evaluation.

use crate::graph::Evaluation;
use crate::lower::sources;
use crate::plan::{EvalPlan, PLAN_FORMAT};
use crate::source::Source;

/// Makes the plan of an evaluation without errors; `None` if it has errors.
pub(crate) fn lower(evaluation: &Evaluation, source: &Source, data_root: Option<&str>) -> Option<EvalPlan> {
    let spec = evaluation.spec;
    let asked = evaluation.asked.as_ref()?;
    let judges = evaluation.judges.iter().map(|(judge, scorer)| Some((judge.stream.value.clone(), scorer.clone()?)));
    Some(EvalPlan {
        format: PLAN_FORMAT,
        name: spec.name.as_ref()?.value.clone(),
        source: source.path.clone(),
        model: evaluation.model.plan()?,
        judges: judges.collect::<Option<_>>()?,
        sources: sources::files(&spec.sources, source, data_root),
        generated: evaluation.generated.clone(),
        data: evaluation.data.clone()?,
        reference: evaluation.reference.clone(),
        variants: evaluation.variants.clone()?,
        options: spec.options.clone()?,
        tasks: asked.tasks.clone(),
        conflicts: asked.conflicts.clone(),
    })
}
