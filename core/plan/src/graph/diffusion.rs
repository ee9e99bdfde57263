//! The diffusion of a node, resolved against the model, and the choice of its denoiser.

use crate::error::Report;
use crate::graph::conditions::Conditions;
use crate::graph::{ModelGraph, known_streams, resolve_roles};
use crate::plan::Diffusion;
use crate::problem::{Hint, Problem, problems};
use crate::source::{Span, SpannedString};
use crate::spec::{DiffuseSpec, InsteadSpec, unknown};

problems! {
    /// What can be wrong with the denoiser of a diffusion.
    pub(crate) enum DiffusionProblem {
        /// No denoiser of the model has all the streams that a node or task names.
        /// Example: `diffuse: [x, y]` with one denoiser over `x` and another over `y`.
        /// Cure: Name streams of one denoiser, or add a denoiser over all of them to the model.
        #[error("no denoiser of the model has all the streams {}{hint}", .streams.join(", "))]
        NoDenoiser { streams: Vec<String>, hint: Hint },
    }
}

/// Resolves the diffusion of a node, whose values are named as written; `None` if it is wrong, which is reported.
/// `prompt_of` has the prompt that a node makes.
pub(crate) fn resolve_diffusion(
    spec: &DiffuseSpec,
    prompt_of: impl Fn(&SpannedString) -> Option<String>,
    model: &ModelGraph,
    report: &mut Report,
) -> Option<Diffusion> {
    let written = spec.roles.written();
    if !known_streams(&written, model, report) {
        return None;
    }
    let named: Vec<&SpannedString> = written.iter().flat_map(|(_, streams)| streams.iter().copied()).collect();
    let denoiser = choose_denoiser(spec.denoiser.as_ref(), &named, spec.span, model, report)?;
    let mut streams = resolve_roles(&spec.roles, &denoiser, model, report)?;
    let conditions = Conditions { model, denoiser: &denoiser };
    for (node, weight) in &spec.roles.condition {
        // A wrong reference is reported with the edges.
        let Some(prompt) = prompt_of(node) else { continue };
        for part in conditions.of(&prompt) {
            streams.condition(part.name.clone(), part.value(&node.value, &prompt), *weight);
        }
    }
    for InsteadSpec { condition, by } in spec.roles.guidance.iter().flat_map(|guidance| &guidance.instead) {
        let [prompt, other] = [condition, by].map(|node| prompt_of(node).unwrap_or_default());
        let others = if other.is_empty() { Vec::new() } else { conditions.of(&other) };
        let replaced = conditions.of(&prompt).into_iter().filter_map(|part| {
            let found = others.iter().find(|other| other.name == part.name);
            let found = found.map(|found| found.value(&by.value, &other));
            // Another prompt has no vector in the place of this one.
            let found = found.or_else(|| (part.name == prompt).then(|| by.value.clone()))?;
            streams.replace_condition(&part.value(&condition.value, &prompt), &found)
        });
        if replaced.count() == 0 {
            unknown(
                "condition",
                condition,
                spec.roles.condition.iter().map(|(tokens, _)| tokens.value.as_str()),
                report,
            );
        }
    }
    conditions.check_planes(&spec.roles, "NODE", spec.span, report)?;
    let planes = spec.roles.planes.iter().map(|plane| (plane.stream.value.clone(), plane.from.value.clone()));
    let guidance = spec.roles.guidance.as_ref().map(|written| written.guidance.clone());
    // The plan gives a node without a seed its own.
    let seed = spec.seed.unwrap_or_default();
    let sampler = model.sampler(&denoiser, &spec.sampler, spec.span, report)?;
    Some(Diffusion { planes: planes.collect(), denoiser, streams, guidance, sampler, seed })
}

/// The denoiser: the named one, or the only one that has all these streams.
pub(crate) fn choose_denoiser(
    named: Option<&SpannedString>,
    streams: &[&SpannedString],
    owner: Span,
    model: &ModelGraph,
    report: &mut Report,
) -> Option<String> {
    if let Some(name) = named {
        if model.denoisers.contains_key(&name.value) {
            return Some(name.value.clone());
        }
        unknown("denoiser", name, model.denoisers.keys().map(String::as_str), report);
        return None;
    }
    let is_over = |over: &[String]| streams.iter().all(|stream| over.contains(&stream.value));
    let mut fitting = model.denoisers.iter().filter(|(_, (over, _))| is_over(over)).map(|(name, _)| name.clone());
    let first = fitting.next();
    let rest = fitting.collect::<Vec<_>>();
    match first {
        Some(name) if rest.is_empty() => Some(name),
        Some(name) => {
            let candidates = [vec![name], rest].concat();
            let remedy = "name one with `denoiser`".into();
            report.error(owner, Problem::Ambiguous { what: "the denoiser".into(), candidates, remedy });
            None
        }
        None if !model.denoisers_are_known() => None,
        None => {
            let known = model.denoisers.iter().map(|(name, (over, _))| format!("{name} over {}", over.join(" + ")));
            let hint = Hint { suggestion: None, known: known.collect() };
            let streams = streams.iter().map(|stream| stream.value.clone()).collect();
            report.error(owner, DiffusionProblem::NoDenoiser { streams, hint });
            None
        }
    }
}
