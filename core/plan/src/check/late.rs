//! Rule: if a sampler starts late (SDEdit), every diffused stream that it samples has initial values; else none has.

use anyflow_config::Sampling;

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{Evaluation, ModelGraph, Pipeline};
use crate::plan::{Roles, StreamRole};
use crate::problem::{CodeEntry, problems};
use crate::spec::RolesSpec;

problems! {
    /// Initial values and the samplers that start from them.
    pub(crate) enum LateProblem {
        /// A sampler starts late (`start_at` below 1), from partly noised data, but a generated stream has no initial
        /// values.
        /// Example: `sampler: {kind: ddim, start_at: 0.5}` and a task without `start`.
        /// Cure: Give the stream initial values (`start`), or remove `start_at`.
        #[error(
            "`start_at: {start_at}` starts from partly noised data, but {owner} has no initial values for stream `{stream}`"
        )]
        NoStart { start_at: f64, owner: String, stream: String },
        /// A stream has initial values, but the sampler starts from pure noise and does not use them.
        /// Example: `start: {x: seen}` with `sampler: {kind: ddim}`.
        /// Cure: Set `start_at` of the sampler below 1, or remove `start`.
        #[error("`start` has no effect: the sampler starts from pure noise; set its `start_at` below 1")]
        StartWithoutEffect {},
    }
}

pub(super) struct Late;

impl Rule for Late {
    fn pipeline(&self, pipeline: &Pipeline, report: &mut Report) {
        for (node, spec, diffusion) in pipeline.diffusions() {
            let start = Start { sampler: &diffusion.sampler, denoiser: &diffusion.denoiser, model: pipeline.model };
            if let Some(stream) = start.lacking(&diffusion.streams) {
                report.error(spec.span, start.problem(format!("node `{}`", node.value), stream));
            }
            check_needed(&spec.roles, [&diffusion.sampler], report);
        }
    }

    fn evaluation(&self, evaluation: &Evaluation, report: &mut Report) {
        let Some(asked) = &evaluation.asked else { return };
        for (name, variant) in evaluation.variants.iter().flatten() {
            let start = Start { sampler: &variant.sampler, denoiser: &variant.denoiser, model: evaluation.model };
            for (task_name, task) in &asked.tasks {
                if let Some(stream) = start.lacking(&task.streams) {
                    report.error(evaluation.place_of(name), start.problem(format!("task `{task_name}`"), stream));
                }
            }
        }
        for task in &evaluation.spec.tasks {
            let samplers = evaluation.variants.iter().flat_map(|variants| variants.values());
            check_needed(&task.roles, samplers.map(|variant| &variant.sampler), report);
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        LateProblem::codes()
    }
}

/// Warns about initial values that none of these samplers uses.
fn check_needed<'s>(roles: &RolesSpec, samplers: impl IntoIterator<Item = &'s Sampling>, report: &mut Report) {
    let Some((stream, _)) = roles.start.first() else { return };
    if samplers.into_iter().all(|sampler| sampler.start_at() >= 1.0) {
        report.warning(stream.span, LateProblem::StartWithoutEffect {});
    }
}

/// The start of a diffusion.
struct Start<'s> {
    sampler: &'s Sampling,
    denoiser: &'s str,
    model: &'s ModelGraph<'s>,
}

impl Start<'_> {
    /// The first sampled stream without initial values, if the sampler starts late.
    fn lacking<'r>(&self, roles: &'r Roles) -> Option<&'r String> {
        let lacks = |role: &StreamRole| role.is_sampled() && !matches!(role, StreamRole::Generate { start: Some(_) });
        let is_diffused = |stream: &&String| !self.model.is_companion(self.denoiser, stream);
        roles.names(lacks).find(is_diffused).filter(|_| self.sampler.start_at() < 1.0)
    }

    fn problem(&self, owner: String, stream: &str) -> LateProblem {
        LateProblem::NoStart { start_at: self.sampler.start_at(), owner, stream: stream.to_string() }
    }
}
