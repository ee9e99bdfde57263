//! Rule: every stage trains something that its objective can train, on a table with the columns it needs.

use anyflow_config::objective::{Denoise, Statistics};
use anyflow_config::{ObjectiveConfig, State, TimeDistribution};
use indexmap::IndexMap;

use crate::check::tables;
use crate::descriptor::Role;
use crate::error::Report;
use crate::graph::ModelGraph;
use crate::plan::Trained;
use crate::problem::{Caution, Hint, Problem, problems};
use crate::source::SpannedString;
use crate::spec::{StageSpec, TableSpec, TrainingSpec, unknown};

problems! {
    /// What can be wrong with a stage.
    pub(crate) enum StageProblem {
        /// `train` of a stage names something that its objective cannot train.
        /// Example: `train: joint` with objective `reconstruct`, where `joint` is a denoiser; `reconstruct` trains a
        /// stream.
        /// Cure: Name something that the objective trains, or choose another objective.
        #[error("objective `{objective}` trains a {what}, but there is no {what} `{name}`{hint}")]
        NotTrainable { objective: String, what: String, name: String, hint: Hint },
        /// A stage trains a stream or scorer that uses only a codec. A codec has no weights.
        /// Example: `train: label` with objective `reconstruct`, where stream `label` has no module.
        /// Cure: Train something else, or add a module.
        #[error("{what} `{name}` has no module, and a codec has no weights to train")]
        NoWeights { what: &'static str, name: String },
        /// A pattern of training times has no noisy stream, so it has no loss.
        /// Example: `patterns: [{x: clean, y: absent}]`.
        /// Cure: Make a stream of each pattern `noisy`.
        #[error("every pattern of {stage} needs at least one `noisy` stream")]
        IdlePattern { stage: String },
    }
}

/// The trained part of a stage; the objective decides whether `train` names a stream, a denoiser, a scorer or prompts.
pub(crate) fn trained(
    stage: &StageSpec,
    objective: &ObjectiveConfig,
    spec: &TrainingSpec,
    model: &ModelGraph,
    report: &mut Report,
) -> Option<Trained> {
    match objective {
        ObjectiveConfig::Statistics(_) => {
            without_effect(stage, report);
            Some(Trained::Statistics)
        }
        ObjectiveConfig::Contrast(contrast) => prompts(stage, &contrast.with, model, report).map(Trained::Prompts),
        ObjectiveConfig::Reconstruct(_) => {
            let name = only(stage, objective, "stream", model.streams.keys(), report)?;
            can_reconstruct(name, model, report)?;
            Some(Trained::Stream(name.value.clone()))
        }
        ObjectiveConfig::Denoise(_) => {
            let name = only(stage, objective, "denoiser", model.denoisers.keys(), report)?;
            Some(Trained::Denoiser(name.value.clone()))
        }
        ObjectiveConfig::Classify(_) => {
            let scorers = spec.scorers.iter().map(|scorer| &scorer.name.value);
            let name = only(stage, objective, "scorer", scorers, report)?;
            has_module(name, spec, model, report)?;
            Some(Trained::Scorer(name.value.clone()))
        }
    }
}

/// The one part of a kind (`what`) that `train` names.
fn only<'s, 'k>(
    stage: &'s StageSpec,
    objective: &ObjectiveConfig,
    what: &str,
    known: impl Iterator<Item = &'k String>,
    report: &mut Report,
) -> Option<&'s SpannedString> {
    let Some(name) = stage.train.first() else {
        missing_train(stage, report);
        return None;
    };
    let objective = objective.name();
    if let Some(second) = stage.train.get(1) {
        let what = format!("`train` of {}", label(stage));
        let wanted = format!("one name for objective `{objective}`");
        report.error(second.span, Problem::WrongCount { what, wanted, found: stage.train.len() });
        return None;
    }
    let known: Vec<&str> = known.map(String::as_str).collect();
    if !known.contains(&name.value.as_str()) {
        let hint = Hint::among(&name.value, known);
        let objective = objective.into();
        let what = what.into();
        report.error(name.span, StageProblem::NotTrainable { objective, what, name: name.value.clone(), hint });
        return None;
    }
    Some(name)
}

fn missing_train(stage: &StageSpec, report: &mut Report) {
    if !stage.written.iter().any(|key| key.value == "train") {
        report.error(stage.span, Problem::MissingKey { key: "train".into(), within: label(stage) });
    }
}

/// The trained prompts or streams of a contrastive loss. They and the partner (`with`) must exist, and exactly one of them
/// must differ from the partner.
fn prompts(stage: &StageSpec, partner: &str, model: &ModelGraph, report: &mut Report) -> Option<Vec<String>> {
    if stage.train.is_empty() {
        missing_train(stage, report);
        return None;
    }
    let has = |name: &str| model.prompts.contains_key(name) || model.streams.get(name).is_some_and(|s| s.has_module);
    let known = || model.prompts.keys().chain(model.streams.keys()).map(String::as_str).filter(|name| has(name));
    let mut good = true;
    for name in stage.train.iter().filter(|name| !has(&name.value)) {
        let objective = "contrast".into();
        let what = "prompt or stream with a module".into();
        let hint = Hint::among(&name.value, known());
        report.error(name.span, StageProblem::NotTrainable { objective, what, name: name.value.clone(), hint });
        good = false;
    }
    if !has(partner) {
        let name = SpannedString::new(partner.to_string(), stage.span);
        unknown("prompt or stream with a module", &name, known(), report);
        good = false;
    }
    let found = stage.train.iter().filter(|name| name.value != partner).count();
    if has(partner) && found != 1 {
        let what = format!("`train` of {}", label(stage));
        let wanted = format!("exactly one prompt or stream besides `{partner}`");
        report.error(stage.span, Problem::WrongCount { what, wanted, found });
        good = false;
    }
    good &= of_one_size(stage, partner, model, report);
    good.then(|| stage.train.iter().map(|name| name.value.clone()).collect())
}

/// Embeddings in a contrastive loss must have the same number of elements.
fn of_one_size(stage: &StageSpec, partner: &str, model: &ModelGraph, report: &mut Report) -> bool {
    let shape = |name: &str| match model.prompts.get(name) {
        Some(prompt) => prompt.plan.as_ref().map(|plan| plan.tokens.clone()),
        None => model.streams.get(name)?.plan.as_ref().map(|plan| plan.latent.clone()),
    };
    let Some(wanted) = shape(partner) else { return true };
    let size = |shape: &[i64]| shape.iter().product::<i64>();
    let mut good = true;
    for name in &stage.train {
        let Some(found) = shape(&name.value).filter(|found| size(found) != size(&wanted)) else { continue };
        let one = format!("`{}` is {found:?}", name.value);
        let other = format!("`{partner}` is {wanted:?}");
        report.error(name.span, Problem::Mismatch { what: "sizes", one, other });
        good = false;
    }
    good
}

fn label(stage: &StageSpec) -> String {
    stage.name.as_ref().map_or("a stage".into(), |name| format!("stage `{}`", name.value))
}

/// Keys of a stage without effect if nothing is trained.
const WITHOUT_STATISTICS: [&str; 7] = ["train", "steps", "keep", "batch", "micro_batch", "optimizer", "ema"];

fn without_effect(stage: &StageSpec, report: &mut Report) {
    for key in stage.written.iter().filter(|key| WITHOUT_STATISTICS.contains(&key.value.as_str())) {
        let reason = "objective `statistics` reads all rows once and trains nothing".to_string();
        report.warning(key.span, Caution::NoEffect { key: key.value.clone(), reason });
    }
}

/// Rows per network call: `micro_batch`, or the whole batch.
pub(crate) fn micro_batch(stage: &StageSpec, report: &mut Report) -> Option<u64> {
    let (batch, Some(micro)) = (stage.batch?, stage.micro_batch) else { return stage.batch };
    if micro > batch {
        let key = stage.written.iter().find(|key| key.value == "micro_batch");
        let what = format!("`micro_batch` of {}", label(stage));
        let bound = format!("at most `batch` = {batch}");
        report.error(
            key.map_or(stage.span, |key| key.span),
            Problem::OutOfBounds { what, value: micro.to_string(), bound },
        );
    }
    Some(micro)
}

/// The steps after which weights are kept: each after the one before it, and all before the last.
pub(crate) fn kept(stage: &StageSpec, steps: u64, report: &mut Report) -> Option<Vec<u64>> {
    if steps == 0 {
        return Some(Vec::new());
    }
    let mut least = 1;
    let mut good = true;
    for step in &stage.keep {
        if step.value < least || step.value >= steps {
            let what = format!("a step in `keep` of {}", label(stage));
            let bound = format!("at least {least} and below `steps` = {steps}");
            report.error(step.span, Problem::OutOfBounds { what, value: step.value.to_string(), bound });
            good = false;
        }
        least = least.max(step.value + 1);
    }
    good.then(|| stage.keep.iter().map(|step| step.value).collect())
}

fn can_reconstruct(name: &SpannedString, model: &ModelGraph, report: &mut Report) -> Option<()> {
    let stream = model.streams.get(&name.value)?;
    if !stream.has_module {
        report.error(name.span, StageProblem::NoWeights { what: "stream", name: name.value.clone() });
        return None;
    }
    let module = stream.module.as_ref()?;
    let component = &module.placed.component;
    crate::component::need_gradients(module.descriptor, component, name.span, report)?;
    for role in [Role::Encode, Role::Decode] {
        crate::component::need_role(module.descriptor, role, component, name.span, report)?;
    }
    Some(())
}

fn has_module(name: &SpannedString, spec: &TrainingSpec, model: &ModelGraph, report: &mut Report) -> Option<()> {
    let scorer = spec.scorers.iter().find(|scorer| scorer.name.value == name.value)?;
    let stream = scorer.stream.as_ref()?;
    let score = scorer.score.as_ref()?;
    let by_codec = model.streams.get(&stream.value)?.codec.as_ref() == Some(&score.component.value);
    if by_codec {
        report.error(name.span, StageProblem::NoWeights { what: "scorer", name: name.value.clone() });
        return None;
    }
    Some(())
}

/// The table that a stage reads.
pub(crate) fn table<'s>(stage: &StageSpec, spec: &'s TrainingSpec, report: &mut Report) -> Option<&'s TableSpec> {
    let name = stage.data.as_ref()?;
    let found = spec.data.iter().find(|table| table.name.value == name.value);
    if found.is_none() {
        unknown("table", name, spec.data.iter().map(|table| table.name.value.as_str()), report);
    }
    found
}

/// Checks that the table has the streams that the stage reads, and the class if it needs one.
pub(crate) fn check_data(
    stage: &StageSpec,
    objective: &ObjectiveConfig,
    trained: &Trained,
    table: &TableSpec,
    spec: &TrainingSpec,
    model: &ModelGraph,
    report: &mut Report,
) {
    let Some(at) = &stage.data else { return };
    let streams: Vec<String> = match (objective, trained) {
        (_, Trained::Stream(stream)) => vec![stream.clone()],
        (ObjectiveConfig::Denoise(options), Trained::Denoiser(name)) => {
            taking_part(stage, options, name, model, report)
        }
        (ObjectiveConfig::Statistics(options), _) => measured(stage, options, model, report),
        (ObjectiveConfig::Contrast(options), Trained::Prompts(names)) => {
            let partner = Some(&options.with).filter(|partner| !names.contains(partner));
            names.iter().chain(partner).cloned().collect()
        }
        (_, Trained::Scorer(name)) => {
            let scorer = spec.scorers.iter().find(|scorer| scorer.name.value == *name);
            scorer.and_then(|scorer| scorer.stream.as_ref()).map(|stream| stream.value.clone()).into_iter().collect()
        }
        _ => Vec::new(),
    };
    for name in streams.iter().filter(|name| !tables::names(table, name, model)) {
        let what = if model.prompts.contains_key(name) { "prompt" } else { "stream" };
        tables::missing(&table.name.value, &format!("{what} `{name}`"), &label(stage), at, report);
    }
    if let Trained::Denoiser(name) = trained {
        some_prompt(stage, name, table, at, model, report);
    }
    if matches!(trained, Trained::Scorer(_)) && table.class.is_none() {
        tables::missing(&table.name.value, "the class (`class`)", &label(stage), at, report);
    }
}

/// The streams to measure: those that the objective names, or all.
fn measured(stage: &StageSpec, options: &Statistics, model: &ModelGraph, report: &mut Report) -> Vec<String> {
    let all = || model.streams.keys();
    let Some(named) = options.streams.clone() else { return all().cloned().collect() };
    let (known, strangers): (Vec<_>, Vec<_>) = named.into_iter().partition(|name| model.streams.contains_key(name));
    for name in strangers {
        let hint = Hint::among(&name, all().map(String::as_str));
        let owner = "the model".into();
        let what = "stream".into();
        report.error(stage.span, Problem::NotThere { owner, what, name, hint });
    }
    known
}

/// A denoiser with prompts is trained with at least one of them.
fn some_prompt(
    stage: &StageSpec,
    denoiser: &str,
    table: &TableSpec,
    at: &SpannedString,
    model: &ModelGraph,
    report: &mut Report,
) {
    let Some((_, Some(denoiser))) = model.denoisers.get(denoiser) else { return };
    if !denoiser.prompts.is_empty() && !denoiser.prompts.iter().any(|prompt| tables::names(table, prompt, model)) {
        let wanted = format!("any of the prompts {}", denoiser.prompts.join(", "));
        tables::missing(&table.name.value, &wanted, &label(stage), at, report);
    }
}

/// The streams on which a stage trains a denoiser: those that the objective names, or all.
fn taking_part(
    stage: &StageSpec,
    options: &Denoise,
    denoiser: &str,
    model: &ModelGraph,
    report: &mut Report,
) -> Vec<String> {
    let Some((all, _)) = model.denoisers.get(denoiser) else { return Vec::new() };
    let (companions, over): (Vec<_>, Vec<_>) =
        all.iter().cloned().partition(|stream| model.is_companion(denoiser, stream));
    let Some(named) = &options.streams else {
        in_objective(stage, options, &over, report);
        return all.clone();
    };
    for name in named.iter().filter(|name| !over.contains(name)) {
        not_there(stage, format!("denoiser `{denoiser}`"), name, &over, report);
    }
    let taking: Vec<String> = named.iter().filter(|name| over.contains(name)).cloned().collect();
    in_objective(stage, options, &taking, report);
    taking.into_iter().chain(companions).collect()
}

/// Checks that the streams named by the time distribution and the contrastive loss are among the trained ones, and that
/// every pattern has a noisy stream.
fn in_objective(stage: &StageSpec, options: &Denoise, taking: &[String], report: &mut Report) {
    let patterns = match &options.times {
        TimeDistribution::Alternating(alternating) => Some(&alternating.patterns),
        _ => None,
    };
    let of_patterns = patterns.into_iter().flatten().flat_map(IndexMap::keys);
    let of_contrast = options.contrast.iter().filter_map(|contrast| contrast.stream.as_ref());
    for name in of_patterns.chain(of_contrast).filter(|name| !taking.contains(name)) {
        not_there(stage, label(stage), name, taking, report);
    }
    let is_idle = |pattern: &IndexMap<String, State>| !pattern.values().any(|state| state.has_loss());
    if patterns.is_some_and(|patterns| patterns.is_empty() || patterns.iter().any(is_idle)) {
        report.error(stage.span, StageProblem::IdlePattern { stage: label(stage) });
    }
}

fn not_there(stage: &StageSpec, owner: String, name: &str, known: &[String], report: &mut Report) {
    let hint = Hint::among(name, known.iter().map(String::as_str));
    report.error(stage.span, Problem::NotThere { owner, what: "stream".into(), name: name.to_string(), hint });
}
