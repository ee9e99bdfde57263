//! The variants of an evaluation: models and samplers that are asked the same.

use indexmap::IndexMap;

use crate::error::Report;
use crate::graph::{ModelGraph, choose_denoiser};
use crate::plan::Variant;
use crate::problem::{Hint, Problem};
use crate::source::{Source, SpannedString};
use crate::spec::{EvaluationSpec, VariantSpec};

/// Resolves all variants; without any, the evaluation's model is the only one, under its own name.
pub(crate) fn resolve(
    spec: &EvaluationSpec,
    models: &[ModelGraph],
    source: &Source,
    denoiser: &str,
    report: &mut Report,
) -> Option<IndexMap<String, Variant>> {
    let own = models.first()?;
    if spec.variants.is_empty() {
        let variant = Variant { model: None, denoiser: denoiser.into(), sampler: spec.sampler.clone()?, given: None };
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
        Some((variant.name.value.clone(), Variant { model: other, denoiser, sampler, given: variant.given }))
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
