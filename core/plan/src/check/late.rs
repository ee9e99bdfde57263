//! Rule: if a sampler starts late (SDEdit), every diffused stream that it samples has initial values.

use anyflow_config::Sampling;

use crate::error::Report;
use crate::graph::ModelGraph;
use crate::plan::{Roles, StreamRole};
use crate::problem::{Caution, problems};
use crate::source::Span;
use crate::spec::RolesSpec;

problems! {
    /// Samplers that start late, from nothing.
    pub(crate) enum LateProblem {
        /// A sampler starts late (`start_at` below 1), from partly noised data, but a generated stream has no initial
        /// values.
        /// Example: `sampler: {kind: ddim, start_at: 0.5}` and no `start`.
        /// Cure: Give the stream initial values (`start`), or remove `start_at`.
        #[error(
            "`start_at: {start_at}` starts from partly noised data, but {owner} has no initial values for stream `{stream}`"
        )]
        NoStart { start_at: f64, owner: String, stream: String },
    }
}

/// One diffusion in which a sampler may start late.
pub(crate) struct Late<'s> {
    pub sampler: &'s Sampling,
    pub denoiser: &'s str,
    pub model: &'s ModelGraph<'s>,
    /// The node or task, for messages.
    pub owner: String,
    pub at: Span,
}

impl Late<'_> {
    /// Refuses a sampled stream without initial values.
    pub fn check(&self, roles: &Roles, report: &mut Report) {
        let start_at = self.sampler.start_at();
        let lacks = |role: &StreamRole| role.is_sampled() && !matches!(role, StreamRole::Generate { start: Some(_) });
        let lacking = roles.names(lacks).find(|stream| !self.model.is_companion(self.denoiser, stream));
        let Some(stream) = lacking.filter(|_| start_at < 1.0) else { return };
        let owner = self.owner.clone();
        report.error(self.at, LateProblem::NoStart { start_at, owner, stream: stream.clone() });
    }
}

/// Warns about initial values that none of these samplers uses.
pub(crate) fn check_needed<'s>(
    spec: &RolesSpec,
    samplers: impl IntoIterator<Item = &'s Sampling>,
    report: &mut Report,
) {
    let Some((stream, _)) = spec.start.first() else { return };
    if samplers.into_iter().all(|sampler| sampler.start_at() >= 1.0) {
        let reason = "the sampler starts from pure noise; set its `start_at` below 1".into();
        report.warning(stream.span, Caution::NoEffect { key: "start".into(), reason });
    }
}
