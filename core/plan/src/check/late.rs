//! Rule: if a sampler starts late (SDEdit), every diffused stream that it generates has initial values.

use anyflow_config::Sampling;

use crate::error::Report;
use crate::graph::ModelGraph;
use crate::problem::Problem;
use crate::source::Span;

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
        let text = match self.task {
            Some(task) => {
                format!(
                    "`start_at: {start_at}` starts from partly noised data, but task `{task}` has no `start` for `{stream}`"
                )
            }
            None => format!(
                "`start_at: {start_at}` starts from partly noised data, which a node cannot provide for stream `{stream}`; \
                 remove `start_at`"
            ),
        };
        report.error(self.at, Problem::Impossible { text });
    }
}
