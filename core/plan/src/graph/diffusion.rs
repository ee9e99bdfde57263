//! The diffusion of a node, resolved against the model, and the choice of its denoiser.

use indexmap::IndexMap;

use crate::error::Report;
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
        /// A denoiser was trained with a plane beside the channels of its streams, and a node gives none.
        /// Example: `diffuse: [x]` without `planes`, where the denoiser of `x` has `planes: [mask]`.
        /// Cure: Add `planes: {mask: NODE}`, a node that encodes the stream.
        #[error("denoiser `{denoiser}` needs plane `{plane}`; add `planes: {{{plane}: NODE}}`")]
        NoPlane { denoiser: String, plane: String },
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
        for (part, value) in prompt_of(node).iter().flat_map(|prompt| conditions.of(&node.value, prompt)) {
            streams.condition(part, value, *weight);
        }
    }
    for InsteadSpec { condition, by } in spec.roles.guidance.iter().flat_map(|guidance| &guidance.instead) {
        let prompt = prompt_of(condition).unwrap_or_default();
        let others = prompt_of(by).map(|other| conditions.of(&by.value, &other)).unwrap_or_default();
        let replaced = conditions.of(&condition.value, &prompt).into_iter().filter_map(|(part, value)| {
            let other = others.iter().find(|(other, _)| *other == part).map(|(_, value)| value.clone());
            // Another prompt has no vector in the place of this one.
            let other = other.or_else(|| (part == prompt).then(|| by.value.clone()))?;
            streams.replace_condition(&value, other)
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
    let planes = planes(spec, &denoiser, model, report)?;
    let guidance = spec.roles.guidance.as_ref().map(|written| written.guidance.clone());
    // The plan gives a node without a seed its own.
    let seed = spec.seed.unwrap_or_default();
    let sampler = model.sampler(&denoiser, &spec.sampler, spec.span, report)?;
    Some(Diffusion { denoiser, streams, planes, guidance, sampler, seed })
}

/// The value of each plane of the denoiser.
fn planes(
    spec: &DiffuseSpec,
    denoiser: &str,
    model: &ModelGraph,
    report: &mut Report,
) -> Option<IndexMap<String, String>> {
    let wanted = model.planes(denoiser);
    let given = &spec.roles.planes;
    for (name, _) in given.iter().filter(|(name, _)| !wanted.contains(&name.value)) {
        unknown("plane", name, wanted.iter().map(String::as_str), report);
    }
    let mut known = wanted.iter().filter(|plane| model.streams.contains_key(*plane));
    let lacking = known.find(|plane| !given.iter().any(|(name, _)| name.value == **plane));
    if let Some(plane) = lacking {
        let problem = DiffusionProblem::NoPlane { denoiser: denoiser.into(), plane: plane.clone() };
        report.error(spec.span, problem);
        return None;
    }
    Some(given.iter().map(|(name, from)| (name.value.clone(), from.value.clone())).collect())
}

/// What a node that makes a prompt gives to a denoiser.
struct Conditions<'a> {
    model: &'a ModelGraph<'a>,
    denoiser: &'a str,
}

impl Conditions<'_> {
    /// Prompt or vector of the denoiser -> value of the node. A node of a prompt that is made of others also has their
    /// vectors.
    fn of(&self, node: &str, prompt: &str) -> Vec<(String, String)> {
        let plan = self.model.denoisers.get(self.denoiser).and_then(|(_, plan)| plan.as_ref());
        let parts = self.model.parts(prompt);
        let vectors = plan.iter().flat_map(|plan| plan.vectors.iter().flat_map(|vectors| &vectors.from));
        let own = vectors.filter(|(_, vector)| parts.contains(&vector.prompt.as_str()));
        let mut found: Vec<(String, String)> =
            own.map(|(name, vector)| (name.clone(), vector.value_of(node, prompt))).collect();
        // Rules report a prompt that the denoiser does not have.
        if found.is_empty() || plan.is_none_or(|plan| plan.prompts.iter().any(|known| known == prompt)) {
            found.insert(0, (prompt.to_string(), node.to_string()));
        }
        found
    }
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
