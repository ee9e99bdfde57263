//! The variants of an evaluation: models and samplers that are asked the same.

use indexmap::IndexMap;

use crate::compile::Catalog;
use crate::error::Report;
use crate::graph::{ModelGraph, choose_denoiser, read_by};
use crate::plan::{Component, Variant};
use crate::problem::{Hint, Problem};
use crate::source::{Source, SpannedString};
use crate::spec::{EvaluationSpec, VariantSpec, unknown};

/// Resolves all variants; without any, the evaluation's model is the only one, under its own name.
pub(crate) fn resolve(
    spec: &EvaluationSpec,
    models: &[ModelGraph],
    source: &Source,
    denoiser: &str,
    catalog: &Catalog,
    report: &mut Report,
) -> Option<IndexMap<String, Variant>> {
    let own = models.first()?;
    if spec.variants.is_empty() {
        let (sampler, weights, codecs) = (spec.sampler.clone()?, Vec::new(), IndexMap::new());
        let variant = Variant { model: None, weights, codecs, denoiser: denoiser.into(), sampler, given: None };
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
        let sampler = variant.sampler.clone().or_else(|| spec.sampler.clone())?;
        let weights = variant.weights.iter().map(|path| source.beside(&path.value)).collect();
        let codecs = codecs(variant, spec, own, catalog, report)?;
        let made = Variant { model: other, weights, codecs, denoiser, sampler, given: variant.given };
        Some((variant.name.value.clone(), made))
    });
    made.collect::<Vec<_>>().into_iter().collect()
}

/// The codecs of a variant. Judges read what the model's codecs write, so that no judged stream has another.
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
            let reason = "is judged, so that all variants read it by the model's codec".into();
            report.error(name.span, Problem::Impossible { what: format!("stream `{}`", name.value), reason });
            return None;
        }
        Some((name.value.clone(), read_by(used, name, stream.plan.as_ref()?, catalog, report)?))
    });
    made.collect::<Vec<_>>().into_iter().collect()
}

/// The denoiser of a variant; it must be over the streams that tasks are about.
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
    let (over, _) = model.denoisers.get(&chosen)?;
    for stream in streams.iter().filter(|stream| !over.contains(&stream.value)) {
        let (owner, what) = (format!("denoiser `{chosen}`"), "stream".into());
        let hint = Hint::among(&stream.value, over.iter().map(String::as_str));
        report.error(stream.span, Problem::NotThere { owner, what, name: stream.value.clone(), hint });
    }
    Some(chosen)
}

/// Judges read what codecs write, so that the other model must have the same streams and prompts with the same codecs.
fn same_streams(own: &ModelGraph, other: &ModelGraph, at: &SpannedString, report: &mut Report) -> Option<()> {
    let mut good = true;
    for (name, stream) in &own.streams {
        let Some(plan) = stream.plan.as_ref() else { continue };
        let same = other.streams.get(name).map(|other| {
            other.plan.as_ref().is_none_or(|other| other.codec == plan.codec && other.array == plan.array)
        });
        let (what, one) = ("models", format!("stream `{name}` of {}", own.path));
        let other = match same {
            Some(true) => continue,
            Some(false) => format!("the codec of that of {} gives other arrays", other.path),
            None => format!("{} has no stream of that name", other.path),
        };
        report.error(at.span, Problem::Mismatch { what, one, other });
        good = false;
    }
    // A prompt is made of arrays that the evaluation's codec read.
    for (name, prompt) in &own.prompts {
        let Some(plan) = prompt.plan.as_ref() else { continue };
        let other = match other.prompts.get(name).map(|other| other.plan.as_ref()) {
            Some(None) => continue,
            Some(Some(found)) if found.codec == plan.codec && found.array == plan.array => continue,
            Some(Some(_)) => format!("the codec of that of {} gives other arrays", other.path),
            None => format!("{} has no prompt of that name", other.path),
        };
        let one = format!("prompt `{name}` of {}", own.path);
        report.error(at.span, Problem::Mismatch { what: "models", one, other });
        good = false;
    }
    good.then_some(())
}
