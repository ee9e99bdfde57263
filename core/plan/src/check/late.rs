//! Rule: if a sampler starts late (SDEdit), every diffused stream that it generates has initial values.

use anyflow_config::Sampling;

use crate::error::Report;
use crate::graph::ModelGraph;
use crate::problem::problems;
use crate::source::Span;

problems! {
    /// Samplers that start late, from nothing.
    pub(crate) enum LateProblem {
        /// A sampler starts late (`start_at` below 1), from partly noised data, but a generated stream has no initial
        /// values.
        /// Example: `sampler: {kind: ddim, start_at: 0.5}` and a task without `start`.
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
    /// The task, for messages; `None` in a node.
    pub task: Option<&'s str>,
    pub at: Span,
}

impl Late<'_> {
    /// Refuses generated streams without initial values; `has_start` is true for streams that have them.
    pub fn check<'s>(
        &self,
        generated: impl IntoIterator<Item = &'s String>,
        has_start: impl Fn(&str) -> bool,
        report: &mut Report,
    ) {
        let start_at = self.sampler.start_at();
        let is_diffused = |stream: &str| !self.model.is_companion(self.denoiser, stream);
        let lacking = generated.into_iter().find(|stream| !has_start(stream) && is_diffused(stream));
        let Some(stream) = lacking.filter(|_| start_at < 1.0) else { return };
        let owner = self.task.map_or("the node".into(), |task| format!("task `{task}`"));
        report.error(self.at, LateProblem::NoStart { start_at, owner, stream: stream.clone() });
    }
}
