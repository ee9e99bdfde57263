//! Rule: the streams that an objective names take part, and every pattern of times has a noisy one.

use anyflow_config::{ObjectiveFacts, State};
use indexmap::IndexMap;

use crate::check::Rule;
use crate::error::Report;
use crate::graph::Training;
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
            let (Some(objective), Some(train)) = (&stage.spec.objective, &stage.train) else { continue };
            let over = match train {
                Trained::Denoiser { name, .. } => {
                    Over { owner: format!("denoiser `{name}`"), streams: training.model.diffused(name) }
                }
                _ => Over { owner: "the model".into(), streams: training.model.streams.keys().cloned().collect() },
            };
            take_part(stage.spec, objective.facts(), &over, report);
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        ObjectiveProblem::codes()
    }
}

/// The streams that can take part, and whose they are.
struct Over {
    owner: String,
    streams: Vec<String>,
}

/// The streams that an objective, its patterns of times and its comparison name.
fn take_part(stage: &StageSpec, facts: &dyn ObjectiveFacts, over: &Over, report: &mut Report) {
    facts.streams().into_iter().flatten().for_each(|name| among(stage, &over.owner, name, &over.streams, report));
    let taking: Vec<String> = match facts.streams() {
        Some(named) => named.iter().filter(|name| over.streams.contains(name)).cloned().collect(),
        None => over.streams.clone(),
    };
    let of_patterns = facts.patterns().into_iter().flatten().flat_map(IndexMap::keys);
    of_patterns.chain(facts.compared()).for_each(|name| among(stage, &stage.label(), name, &taking, report));
    let is_idle = |pattern: &IndexMap<String, State>| !pattern.values().any(|state| state.has_loss());
    if facts.patterns().is_some_and(|patterns| patterns.is_empty() || patterns.iter().any(is_idle)) {
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
