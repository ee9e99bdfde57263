//! Rule: the streams that an objective names take part, and every pattern of times has a noisy one.

use anyflow_config::objective::Denoise;
use anyflow_config::{ObjectiveConfig, State, TimeDistribution};
use indexmap::IndexMap;

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{ModelGraph, Training};
use crate::plan::Trained;
use crate::problem::{CodeEntry, Hint, Problem, problems};
use crate::spec::StageSpec;

problems! {
    /// What can be wrong with the streams of an objective.
    pub(crate) enum ObjectiveProblem {
        /// A pattern of training times has no noisy stream, so it has no loss.
        /// Example: `patterns: [{x: clean, y: absent}]`.
        /// Cure: Make a stream of each pattern `noisy`.
        #[error("every pattern of {stage} needs at least one `noisy` stream")]
        IdlePattern { stage: String },
    }
}

pub(super) struct ObjectiveStreams;

impl Rule for ObjectiveStreams {
    fn training(&self, training: &Training, report: &mut Report) {
        for stage in &training.stages {
            match (&stage.spec.objective, &stage.train) {
                (Some(ObjectiveConfig::Denoise(options)), Some(Trained::Denoiser(name))) => {
                    denoised(stage.spec, options, name, training.model, report);
                }
                (Some(ObjectiveConfig::Statistics(options)), _) => {
                    let known: Vec<String> = training.model.streams.keys().cloned().collect();
                    let named = options.streams.iter().flatten();
                    named.for_each(|name| among(stage.spec, "the model", name, &known, report));
                }
                _ => {}
            }
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        ObjectiveProblem::codes()
    }
}

/// The streams that `denoise`, its times and its contrastive loss name.
fn denoised(stage: &StageSpec, options: &Denoise, denoiser: &str, model: &ModelGraph, report: &mut Report) {
    let over = model.diffused(denoiser);
    for name in options.streams.iter().flatten() {
        among(stage, &format!("denoiser `{denoiser}`"), name, &over, report);
    }
    let taking: Vec<String> = match &options.streams {
        Some(named) => named.iter().filter(|name| over.contains(name)).cloned().collect(),
        None => over,
    };
    let patterns = match &options.times {
        TimeDistribution::Alternating(alternating) => Some(&alternating.patterns),
        _ => None,
    };
    let of_patterns = patterns.into_iter().flatten().flat_map(IndexMap::keys);
    let of_contrast = options.contrast.iter().filter_map(|contrast| contrast.stream.as_ref());
    of_patterns.chain(of_contrast).for_each(|name| among(stage, &stage.label(), name, &taking, report));
    let is_idle = |pattern: &IndexMap<String, State>| !pattern.values().any(|state| state.has_loss());
    if patterns.is_some_and(|patterns| patterns.is_empty() || patterns.iter().any(is_idle)) {
        report.error(stage.span, ObjectiveProblem::IdlePattern { stage: stage.label() });
    }
}

/// Refuses a stream that is not among the known ones.
fn among(stage: &StageSpec, owner: &str, name: &String, known: &[String], report: &mut Report) {
    if !known.contains(name) {
        let hint = Hint::among(name, known.iter().map(String::as_str));
        let owner = owner.to_string();
        report.error(stage.span, Problem::NotThere { owner, what: "stream".into(), name: name.clone(), hint });
    }
}
