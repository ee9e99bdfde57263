//! Rule: the schedules of the streams have the points that a sampler visits, and a network can begin at pure noise.

use anyflow_config::spacing::SpacingLaw;
use anyflow_config::{Parameterization, Sampling, ScheduleConfig, SpacingMisfit};

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{Evaluation, ModelGraph, Pipeline};
use crate::problem::{CodeEntry, problems};
use crate::source::Span;
use crate::spec::{DiffuseSpec, ModelSpec, SamplerSpec};

problems! {
    /// What can be wrong with the points that a sampler visits.
    pub(crate) enum SpacingProblem {
        /// A law chooses steps of a schedule that has none.
        /// Example: `spacing: {law: leading}` with `schedule: {kind: cosine}`.
        /// Cure: Use `law: even`, or the schedule `discrete` that the model was trained with.
        #[error("spacing `{law}` needs schedule `discrete` (`linspace` also takes a `flow` with a `shift`), but stream `{stream}` has `{schedule}`")]
        SpacingWithoutSteps { law: SpacingLaw, stream: String, schedule: &'static str },
        /// A sampler visits more points than the schedule has steps.
        /// Example: `steps: 2000, spacing: {law: trailing}`.
        /// Cure: Lower `steps`.
        #[error("the sampler has {steps} steps, but its spacing allows at most {most}")]
        SpacingTooManySteps { steps: usize, most: usize },
        /// The offset moves the first point beyond the end of the schedule.
        /// Example: `steps: 30, spacing: {law: leading, offset: 50}`.
        /// Cure: Lower `offset`.
        #[error("the first point is step {step}, but the last step of the schedule is {last}; lower `offset`")]
        SpacingBeyond { step: usize, last: usize },
        /// An update ends elsewhere than the next one begins, which only memoryless samplers allow.
        /// Example: `kind: dpmpp-2m, spacing: {law: leading, stride: floor}`.
        /// Cure: Remove `stride`, or use `ddim` or `ddpm` without `resample`.
        #[error("`stride: floor` needs sampler `ddim` or `ddpm` without `resample`, found `{sampler}`")]
        SpacingStride { sampler: &'static str },
        /// Heun's method evaluates the network where an update ends, also after the last step of the schedule.
        /// Example: `kind: heun, spacing: {law: linspace, last: first}`.
        /// Cure: Remove `last`.
        #[error("sampler `heun` must end without noise; remove `last: first`")]
        SpacingNoisyEnd {},
        /// The law of a spacing does not use one of the keys beside it.
        /// Example: `spacing: {law: even, offset: 1}`.
        /// Cure: Remove the key, or choose a law that uses it.
        #[error("`{key}` has no effect: spacing `{law}` does not use it")]
        SpacingWithoutEffect { key: &'static str, law: SpacingLaw },
        /// The schedule begins at pure noise, where the noise says nothing about x0.
        /// Example: `predict: eps` with `schedule: {kind: discrete, zero_snr: true}`.
        /// Cure: Use the prediction that the model was trained with, usually `v` or `flow`.
        #[error("`predict: eps` cannot begin at pure noise, as the schedule of denoiser `{denoiser}` does")]
        NoSignalAtStart { denoiser: String },
    }
}

pub(super) struct SpacingRule;

impl Rule for SpacingRule {
    fn model(&self, spec: &ModelSpec, model: &ModelGraph, report: &mut Report) {
        for denoiser in spec.denoisers.iter().filter(|denoiser| denoiser.sampler.is_written()) {
            let name = &denoiser.name;
            if let Some(sampler) = denoiser.sampler.resolve(&SamplerSpec::default(), name.span, report) {
                check(&sampler, &name.value, model, name.span, report);
            }
        }
        for denoiser in spec.denoisers.iter().filter(|denoiser| denoiser.predict == Some(Parameterization::Eps)) {
            let name = &denoiser.name;
            if model.schedules(&name.value).iter().any(|(_, schedule)| schedule.begins_without_signal()) {
                report.error(name.span, SpacingProblem::NoSignalAtStart { denoiser: name.value.clone() });
            }
        }
    }

    fn pipeline(&self, pipeline: &Pipeline, report: &mut Report) {
        // The sampler of a denoiser is checked with the model.
        let is_own = |spec: &DiffuseSpec, denoiser: &str| {
            spec.sampler.is_written() || !pipeline.model.samplers.get(denoiser).is_some_and(SamplerSpec::is_written)
        };
        let checked = pipeline.diffusions().filter(|(_, spec, diffusion)| is_own(spec, &diffusion.denoiser));
        for (_, spec, diffusion) in checked {
            check(&diffusion.sampler, &diffusion.denoiser, pipeline.model, spec.span, report);
        }
    }

    fn evaluation(&self, evaluation: &Evaluation, report: &mut Report) {
        for (name, variant) in evaluation.variants.iter().flatten() {
            let model = evaluation.model_of(variant);
            check(&variant.sampler, &variant.denoiser, model, evaluation.place_of(name), report);
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        SpacingProblem::codes()
    }
}

fn check(sampler: &Sampling, denoiser: &str, model: &ModelGraph, at: Span, report: &mut Report) {
    for key in sampler.spacing.iter().flat_map(|spacing| spacing.idle()) {
        report.warning(at, SpacingProblem::SpacingWithoutEffect { key, law: sampler.law() });
    }
    let misfit = |(stream, schedule)| Some((stream, schedule, sampler.misfit(schedule)?));
    if let Some((stream, schedule, misfit)) = model.schedules(denoiser).into_iter().find_map(misfit) {
        report.error(at, problem(misfit, sampler, stream, schedule));
    }
}

fn problem(misfit: SpacingMisfit, sampler: &Sampling, stream: String, schedule: &ScheduleConfig) -> SpacingProblem {
    match misfit {
        SpacingMisfit::NoSteps { law } => {
            SpacingProblem::SpacingWithoutSteps { law, stream, schedule: schedule.name() }
        }
        SpacingMisfit::TooManySteps { steps, most } => SpacingProblem::SpacingTooManySteps { steps, most },
        SpacingMisfit::Beyond { step, last } => SpacingProblem::SpacingBeyond { step, last },
        SpacingMisfit::Stride => SpacingProblem::SpacingStride { sampler: sampler.sampler.name() },
        SpacingMisfit::NoisyEnd => SpacingProblem::SpacingNoisyEnd {},
    }
}
