//! Rule: if a sampler starts late (SDEdit), every diffused stream that it generates has initial values.

use anyflow_config::Sampling;

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{Evaluation, ModelGraph, Pipeline};
use crate::problem::{CodeEntry, problems};
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

pub(super) struct Late;

impl Rule for Late {
    fn pipeline(&self, pipeline: &Pipeline, report: &mut Report) {
        for (node, spec, diffusion) in pipeline.diffusions() {
            let start = Start { sampler: &diffusion.sampler, denoiser: &diffusion.denoiser, model: pipeline.model };
            if let Some(stream) = start.lacking(diffusion.lists.generated(), |_| false) {
                report.error(spec.span, start.problem(format!("node `{}`", node.value), stream));
            }
        }
    }

    fn evaluation(&self, evaluation: &Evaluation, report: &mut Report) {
        let Some(asked) = &evaluation.asked else { return };
        for (name, variant) in evaluation.variants.iter().flatten() {
            let start = Start { sampler: &variant.sampler, denoiser: &variant.denoiser, model: evaluation.model };
            for (task_name, task) in &asked.tasks {
                let generated = task.generate.iter().chain(&task.marginalize);
                if let Some(stream) = start.lacking(generated, |stream| task.start.contains_key(stream)) {
                    report.error(place(evaluation, name), start.problem(format!("task `{task_name}`"), stream));
                }
            }
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        LateProblem::codes()
    }
}

/// The position of a variant; the start of the file for an evaluation without variants.
fn place(evaluation: &Evaluation, variant: &str) -> Span {
    let spec = evaluation.spec;
    spec.variants.iter().find(|written| written.name.value == variant).map_or(spec.span, |written| written.name.span)
}

/// The start of a diffusion.
struct Start<'s> {
    sampler: &'s Sampling,
    denoiser: &'s str,
    model: &'s ModelGraph<'s>,
}

impl Start<'_> {
    /// The first generated stream without initial values, if the sampler starts late.
    fn lacking<'g>(
        &self,
        mut generated: impl Iterator<Item = &'g String>,
        has_start: impl Fn(&str) -> bool,
    ) -> Option<&'g String> {
        let is_diffused = |stream: &str| !self.model.is_companion(self.denoiser, stream);
        generated.find(|stream| self.sampler.start_at() < 1.0 && !has_start(stream) && is_diffused(stream))
    }

    fn problem(&self, owner: String, stream: &str) -> LateProblem {
        LateProblem::NoStart { start_at: self.sampler.start_at(), owner, stream: stream.to_string() }
    }
}
