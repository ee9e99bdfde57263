//! Rule: guidance names existing conditions, and it has something to guide towards.

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{Evaluation, Pipeline};
use crate::plan::{Roles, StreamRole};
use crate::problem::{CodeEntry, problems};
use crate::source::SpannedString;
use crate::spec::{GuidanceSpec, unknown};

problems! {
    /// Guidance without anything to guide towards.
    pub(crate) enum GuidanceProblem {
        /// Joint guidance strengthens the relation between generated streams, and only one is generated.
        /// Example: `guidance: {kind: joint}` with `diffuse: [x]`.
        /// Cure: Generate or marginalize another stream, or remove `guidance`.
        #[error("joint guidance needs at least two generated streams, found {found}")]
        JointOfOne { found: usize },
        /// Guidance strengthens a condition, and there is none.
        /// Example: `guidance: {kind: cfg}` without `observe` and `condition`.
        /// Cure: Add a condition, or remove `guidance`.
        #[error("guidance needs `observe` or `condition`; add one or remove `guidance`")]
        NothingObserved {},
        /// A task or variant of an evaluation replaces a condition, which only a node of a pipeline can.
        /// Example: `guidance: {kind: cfg, instead: {words: other}}` in an evaluation.
        /// Cure: Remove `instead`, or measure the rows that a pipeline made.
        #[error("`instead` has no meaning in an evaluation, whose rows have one value for each prompt")]
        InsteadInEvaluation {},
    }
}

pub(super) struct Guided;

impl Rule for Guided {
    fn pipeline(&self, pipeline: &Pipeline, report: &mut Report) {
        for (_, spec, diffusion) in pipeline.diffusions() {
            if let Some(guidance) = &spec.roles.guidance {
                check(guidance, &diffusion.streams, report);
            }
        }
    }

    /// Guidance that tasks share, or that a variant has, need not apply to each of them.
    fn evaluation(&self, evaluation: &Evaluation, report: &mut Report) {
        let Some(asked) = &evaluation.asked else { return };
        let of_tasks = evaluation.tasks().filter_map(|(spec, _)| spec.roles.guidance.as_ref());
        let of_variants = evaluation.written_variants().filter_map(|(spec, _)| spec.guidance.as_ref());
        for written in of_tasks.chain(of_variants).chain(&evaluation.spec.guidance) {
            if let Some(instead) = written.instead.first() {
                report.error(instead.condition.span, GuidanceProblem::InsteadInEvaluation {});
            }
        }
        for (spec, task) in evaluation.tasks() {
            if let Some(own) = &spec.roles.guidance {
                check(own, &task.streams, report);
            }
        }
        if let Some(shared) = &evaluation.spec.guidance {
            all_known("stream", &shared.conditions, &evaluation.model.conditions(&asked.denoiser), report);
        }
        for (spec, variant) in evaluation.written_variants() {
            if let Some(guidance) = &spec.guidance {
                let known = evaluation.model_of(variant).conditions(&variant.denoiser);
                all_known("stream", &guidance.conditions, &known, report);
            }
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        GuidanceProblem::codes()
    }
}

fn check(spec: &GuidanceSpec, roles: &Roles, report: &mut Report) {
    let observed: Vec<&str> = roles.names(StreamRole::is_condition).map(String::as_str).collect();
    if all_known("observed stream or prompt", &spec.conditions, &observed, report) && !spec.applies(roles) {
        let problem = if spec.is_joint() {
            GuidanceProblem::JointOfOne { found: roles.names(StreamRole::is_sampled).count() }
        } else {
            GuidanceProblem::NothingObserved {}
        };
        report.error(spec.span, problem);
    }
}

fn all_known(what: &str, names: &[SpannedString], known: &[&str], report: &mut Report) -> bool {
    let strangers: Vec<_> = names.iter().filter(|name| !known.contains(&name.value.as_str())).collect();
    strangers.iter().for_each(|name| unknown(what, name, known.iter().copied(), report));
    strangers.is_empty()
}
