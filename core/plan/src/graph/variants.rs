//! The variants of an evaluation: models and samplers with the same tasks.

use anyflow_config::Guidance;
use indexmap::IndexMap;

use crate::catalog::Catalog;
use crate::error::Report;
use crate::graph::{Asked, ModelGraph, choose_denoiser, read_by};
use crate::plan::{Component, DenoiserConfig, PromptConfig, Stream, Task, Variant};
use crate::problem::{Hint, Problem, problems};
use crate::source::{Source, Span, SpannedString};
use crate::spec::{EvaluationSpec, GuidanceSpec, VariantSpec, unknown};

problems! {
    /// What can be wrong with a variant.
    pub(crate) enum VariantProblem {
        /// A variant changes the codec of a stream that is judged. Judges read what the codec of the model produces.
        /// Example: `codecs: {x: PLUGIN/other}` of a variant, with a judge of `x`.
        /// Cure: Remove the codec from the variant, or the judge.
        #[error("stream `{stream}` is judged, so a variant cannot change its codec; remove it")]
        JudgedCodec { stream: String },
        /// The model of a variant has other streams, prompts or codecs than the model of the evaluation.
        /// Example: A variant whose model lacks a prompt.
        /// Cure: Give the models the same streams, prompts and codecs, or evaluate them apart.
        #[error("{variant} cannot be a variant of {model}: {difference}")]
        VariantDiffers { variant: String, model: String, difference: Difference },
        /// The guidance of a variant applies to no task of the evaluation.
        /// Example: `guidance: {kind: joint}` of a variant, where each task generates one stream.
        /// Cure: Remove `guidance`, or add a task that it applies to.
        #[error("`guidance` has no effect: no task has what it guides towards")]
        GuidanceOfNoTask {},
        /// The denoiser of a variant has other planes or vectors than that of the evaluation, which all tasks give.
        /// Example: A variant with `denoiser: plain` of an evaluation whose denoiser has `planes: [mask]`.
        /// Cure: Name a denoiser with the same `planes` and `vectors`, or evaluate it apart.
        #[error("`{what}` of denoiser `{denoiser}` are {found}, but tasks give those of the evaluation's denoiser: {wanted}")]
        VariantConditions { denoiser: String, what: &'static str, found: String, wanted: String },
    }
}

/// A difference between the models of two variants.
#[derive(Debug, thiserror::Error, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Difference {
    #[error("it has no stream `{0}`")]
    NoStream(String),
    #[error("its codec of `{0}` produces other arrays")]
    StreamCodec(String),
    #[error("it has no prompt `{0}`")]
    NoPrompt(String),
    #[error("its codec of prompt `{0}` produces other arrays")]
    PromptCodec(String),
}

/// Resolves all variants. By default the evaluation's model is the only one, under its own name.
pub(super) fn resolve_variants(
    spec: &EvaluationSpec,
    models: &[ModelGraph],
    source: &Source,
    asked: &Asked,
    catalog: &Catalog,
    report: &mut Report,
) -> Option<IndexMap<String, Variant>> {
    let denoiser = asked.denoiser.as_str();
    let own = models.first()?;
    if spec.variants.is_empty() {
        let variant = Variant {
            model: None,
            weights: Vec::new(),
            codecs: IndexMap::new(),
            denoiser: denoiser.into(),
            sampler: own.sampler(denoiser, &spec.sampler, spec.span, report)?,
            given: None,
            guidance: IndexMap::new(),
        };
        return Some(IndexMap::from([(own.name.clone(), variant)]));
    }
    let made = spec.variants.iter().map(|variant| {
        let (other, model) = match &variant.model {
            Some(path) => {
                let place = source.beside(&path.value);
                let other = models.iter().find(|model| model.path == place)?;
                same_streams(own, other, path, report)?;
                (Some(other.plan()?), other)
            }
            None => (None, own),
        };
        let denoiser = of_variant(variant, spec, own, model, denoiser, report)?;
        let written = if variant.sampler.is_written() { &variant.sampler } else { &spec.sampler };
        let sampler = model.sampler(&denoiser, written, variant.name.span, report)?;
        let weights = variant.weights.iter().map(|path| source.beside(&path.value)).collect();
        let codecs = codecs(variant, spec, own, catalog, report)?;
        let guidance = variant.guidance.as_ref();
        let guidance = guidance.map(|written| guided(written, &asked.tasks, report));
        let guidance = guidance.unwrap_or_default();
        let made = Variant { model: other, weights, codecs, denoiser, sampler, given: variant.given, guidance };
        Some((variant.name.value.clone(), made))
    });
    made.collect::<Vec<_>>().into_iter().collect()
}

/// The guidance of a variant, for each task that it applies to; warns if there is none.
fn guided(written: &GuidanceSpec, tasks: &IndexMap<String, Task>, report: &mut Report) -> IndexMap<String, Guidance> {
    let applies = |task: &Task| task.score.is_none() && written.applies(&task.streams);
    let guided = tasks.iter().filter(|(_, task)| applies(task));
    let guided: IndexMap<_, _> = guided.map(|(name, _)| (name.clone(), written.guidance.clone())).collect();
    if guided.is_empty() {
        report.warning(written.span, VariantProblem::GuidanceOfNoTask {});
    }
    guided
}

/// The codecs of a variant. Judges read the output of the model's codecs, so judged streams keep their codec.
fn codecs(
    variant: &VariantSpec,
    spec: &EvaluationSpec,
    own: &ModelGraph,
    catalog: &Catalog,
    report: &mut Report,
) -> Option<IndexMap<String, Component>> {
    let made = variant.codecs.iter().map(|(name, used)| {
        let Some(stream) = own.streams.get(&name.value) else {
            unknown("stream", name, own.streams.keys().map(String::as_str), report);
            return None;
        };
        if spec.judges.iter().any(|judge| judge.stream.value == name.value) {
            report.error(name.span, VariantProblem::JudgedCodec { stream: name.value.clone() });
            return None;
        }
        Some((name.value.clone(), read_by(used, name, stream.plan.as_ref()?, catalog, report)?))
    });
    made.collect::<Vec<_>>().into_iter().collect()
}

/// The denoiser of a variant; it must have the streams of the tasks.
fn of_variant(
    variant: &VariantSpec,
    spec: &EvaluationSpec,
    own: &ModelGraph,
    model: &ModelGraph,
    denoiser: &str,
    report: &mut Report,
) -> Option<String> {
    let (streams, _) = own.denoisers.get(denoiser)?;
    if variant.model.is_none() && variant.denoiser.is_none() {
        return Some(denoiser.to_string());
    }
    let owner = variant.name.span;
    let streams: Vec<_> = streams.iter().map(|stream| SpannedString::new(stream.clone(), owner)).collect();
    let named = variant.denoiser.as_ref().or(spec.denoiser.as_ref());
    let chosen = choose_denoiser(named, &streams.iter().collect::<Vec<_>>(), owner, model, report)?;
    let (over, plan) = model.denoisers.get(&chosen)?;
    if let (Some(plan), Some((_, Some(wanted)))) = (plan, own.denoisers.get(denoiser)) {
        same_conditions(&chosen, [plan, wanted], owner, report);
    }
    for stream in streams.iter().filter(|stream| !over.contains(&stream.value)) {
        let owner = format!("denoiser `{chosen}`");
        let what = "stream".into();
        let hint = Hint::among(&stream.value, over.iter().map(String::as_str));
        report.error(stream.span, Problem::NotThere { owner, what, name: stream.value.clone(), hint });
    }
    Some(chosen)
}

/// Refuses a denoiser with other planes or vectors than those of the tasks.
fn same_conditions(denoiser: &str, [plan, wanted]: [&DenoiserConfig; 2], owner: Span, report: &mut Report) {
    let planes = [plan, wanted].map(|plan| sorted(plan.planes.iter()));
    let vectors = [plan, wanted].map(|plan| sorted(plan.vectors.iter().flat_map(|vectors| vectors.from.keys())));
    for (what, [found, wanted]) in [("planes", planes), ("vectors", vectors)] {
        if found != wanted {
            report.error(owner, VariantProblem::VariantConditions { denoiser: denoiser.into(), what, found, wanted });
        }
    }
}

/// Names in order, as a text.
fn sorted<'n>(names: impl Iterator<Item = &'n String>) -> String {
    let mut names: Vec<&str> = names.map(String::as_str).collect();
    names.sort_unstable();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// Refuses a model with other streams, prompts or codecs: judges and prompts read what the codecs of the evaluation write.
fn same_streams(own: &ModelGraph, other: &ModelGraph, at: &SpannedString, report: &mut Report) -> Option<()> {
    let mut differences = Vec::new();
    for (name, stream) in &own.streams {
        let Some(plan) = stream.plan.as_ref() else { continue };
        let is_same = |found: &Stream| found.codec == plan.codec && found.array == plan.array;
        match other.streams.get(name).map(|other| other.plan.as_ref()) {
            Some(found) if found.is_none_or(is_same) => {}
            Some(_) => differences.push(Difference::StreamCodec(name.clone())),
            None => differences.push(Difference::NoStream(name.clone())),
        }
    }
    for (name, prompt) in &own.prompts {
        let Some(plan) = prompt.plan.as_ref() else { continue };
        let codec = |plan: &PromptConfig| plan.encoded().map(|encoded| encoded.codec.clone());
        let is_same = |found: &PromptConfig| codec(found) == codec(plan) && found.has_arrays_of(plan);
        match other.prompts.get(name).map(|other| other.plan.as_ref()) {
            Some(found) if found.is_none_or(is_same) => {}
            Some(_) => differences.push(Difference::PromptCodec(name.clone())),
            None => differences.push(Difference::NoPrompt(name.clone())),
        }
    }
    let same = differences.is_empty();
    for difference in differences {
        let variant = other.path.clone();
        report.error(at.span, VariantProblem::VariantDiffers { variant, model: own.path.clone(), difference });
    }
    same.then_some(())
}
