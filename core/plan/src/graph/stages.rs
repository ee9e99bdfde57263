//! The stages of a training: what each trains, and the table that it reads.

use anyflow_config::ObjectiveConfig;

use crate::error::Report;
use crate::graph::ModelGraph;
use crate::graph::references::check_references;
use crate::plan::Trained;
use crate::problem::{Hint, Problem, problems};
use crate::source::SpannedString;
use crate::spec::{StageSpec, TableSpec, TrainingSpec, unknown};

problems! {
    /// What can be wrong with `train` of a stage.
    pub(crate) enum StageProblem {
        /// `train` of a stage names something that its objective cannot train.
        /// Example: `train: joint` with objective `reconstruct`, where `joint` is a denoiser; `reconstruct` trains a
        /// stream.
        /// Cure: Name something that the objective trains, or choose another objective.
        #[error("objective `{objective}` trains a {what}, but there is no {what} `{name}`{hint}")]
        NotTrainable { objective: String, what: String, name: String, hint: Hint },
    }
}

/// A stage with its names resolved. Wrong parts are `None`, which was reported.
pub(crate) struct StageNode<'s> {
    pub spec: &'s StageSpec,
    pub train: Option<Trained>,
    pub table: Option<&'s TableSpec>,
}

impl<'s> StageNode<'s> {
    /// Resolves a stage.
    pub fn resolve(stage: &'s StageSpec, spec: &'s TrainingSpec, model: &ModelGraph, report: &mut Report) -> Self {
        check_references(&stage.references, model, report);
        let objective = stage.objective.as_ref();
        let train = objective.and_then(|objective| trained(stage, objective, spec, model, report));
        StageNode { spec: stage, train, table: table(stage, spec, report) }
    }
}

/// The trained part of a stage; the objective decides whether `train` names a stream, a denoiser, a scorer or modules.
fn trained(
    stage: &StageSpec,
    objective: &ObjectiveConfig,
    spec: &TrainingSpec,
    model: &ModelGraph,
    report: &mut Report,
) -> Option<Trained> {
    let only = |what: &str, known: Vec<&str>, report: &mut Report| only(stage, objective, what, &known, report);
    Some(match objective.clone() {
        ObjectiveConfig::Measurement(objective) => Trained::Nothing { objective },
        ObjectiveConfig::ModuleObjective(own) => {
            Trained::Modules { names: modules(stage, objective, model, report)?, objective: own }
        }
        ObjectiveConfig::StreamObjective(objective) => {
            let known = model.streams.keys().map(String::as_str).collect();
            Trained::Stream { name: only("stream", known, report)?, objective }
        }
        ObjectiveConfig::DenoiserObjective(objective) => {
            let known = model.denoisers.keys().map(String::as_str).collect();
            Trained::Denoiser { name: only("denoiser", known, report)?, objective }
        }
        ObjectiveConfig::ScorerObjective(objective) => {
            let known = spec.scorers.iter().map(|scorer| scorer.name.value.as_str()).collect();
            Trained::Scorer { name: only("scorer", known, report)?, objective }
        }
    })
}

/// The one part of a kind (`what`) that `train` names.
fn only(
    stage: &StageSpec,
    objective: &ObjectiveConfig,
    what: &str,
    known: &[&str],
    report: &mut Report,
) -> Option<String> {
    let Some(name) = stage.train.first() else {
        missing_train(stage, report);
        return None;
    };
    let objective = objective.name();
    if let Some(second) = stage.train.get(1) {
        let wanted = format!("one name for objective `{objective}`");
        let problem =
            Problem::WrongCount { what: format!("`train` of {}", stage.label()), wanted, found: stage.train.len() };
        report.error(second.span, problem);
        return None;
    }
    if !known.contains(&name.value.as_str()) {
        not_trainable(objective, what, name, known.iter().copied(), report);
        return None;
    }
    Some(name.value.clone())
}

/// The prompts and streams whose modules are trained. They and the partner of the objective must exist.
fn modules(
    stage: &StageSpec,
    objective: &ObjectiveConfig,
    model: &ModelGraph,
    report: &mut Report,
) -> Option<Vec<String>> {
    const WHAT: &str = "prompt or stream with a module";
    if stage.train.is_empty() {
        missing_train(stage, report);
        return None;
    }
    let has = |name: &str| model.prompts.contains_key(name) || model.streams.get(name).is_some_and(|s| s.has_module);
    let known = || model.prompts.keys().chain(model.streams.keys()).map(String::as_str).filter(|name| has(name));
    let mut good = true;
    for name in stage.train.iter().filter(|name| !has(&name.value)) {
        not_trainable(objective.name(), WHAT, name, known(), report);
        good = false;
    }
    if let Some(partner) = objective.facts().partner().filter(|partner| !has(partner)) {
        unknown(WHAT, &SpannedString::new(partner.to_string(), stage.span), known(), report);
        good = false;
    }
    good.then(|| stage.train.iter().map(|name| name.value.clone()).collect())
}

fn not_trainable<'k>(
    objective: &str,
    what: &str,
    name: &SpannedString,
    known: impl Iterator<Item = &'k str>,
    report: &mut Report,
) {
    let hint = Hint::among(&name.value, known);
    let objective = objective.into();
    let what = what.into();
    report.error(name.span, StageProblem::NotTrainable { objective, what, name: name.value.clone(), hint });
}

fn missing_train(stage: &StageSpec, report: &mut Report) {
    if stage.key("train").is_none() {
        report.error(stage.span, Problem::MissingKey { key: "train".into(), within: stage.label() });
    }
}

/// The table that a stage reads.
fn table<'s>(stage: &StageSpec, spec: &'s TrainingSpec, report: &mut Report) -> Option<&'s TableSpec> {
    let name = stage.data.as_ref()?;
    let found = spec.data.iter().find(|table| table.name.value == name.value);
    if found.is_none() {
        unknown("table", name, spec.data.iter().map(|table| table.name.value.as_str()), report);
    }
    found
}
