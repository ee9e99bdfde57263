//! What a denoiser takes beside its streams: prompts with their vectors, and planes. Nodes and tasks give them alike.

use crate::error::Report;
use crate::graph::ModelGraph;
use crate::plan::JoinedVector;
use crate::problem::problems;
use crate::source::Span;
use crate::spec::{RolesSpec, unknown};

problems! {
    /// What can be wrong with planes of a node or task.
    pub(crate) enum ConditionProblem {
        /// A denoiser was trained with a plane beside the channels of its streams, and a node or task gives none.
        /// Example: `diffuse: [x]` without `planes`, where the denoiser of `x` has `planes: [mask]`.
        /// Cure: Add `planes: {mask: NODE}`, a node that encodes the stream, or in a task `planes: {mask: STREAM}`, a stream of
        /// the data.
        #[error("denoiser `{denoiser}` needs plane `{plane}`; add `planes: {{{plane}: {value}}}`")]
        NoPlane { denoiser: String, plane: String, value: &'static str },
        /// A denoiser has a plane, and it is used where none can be given: by a classification, a conflict, or `subsets`.
        /// Example: `subsets: true` with a denoiser that has `planes: [mask]`.
        /// Cure: Use a `diffuse` node, or a task with `generate`, or another denoiser.
        #[error("denoiser `{denoiser}` needs plane `{plane}`, which only a `diffuse` node or a task with `generate` can give")]
        NoPlaneHere { denoiser: String, plane: String },
    }
}

/// What a denoiser takes beside its streams.
pub(super) struct Conditions<'a> {
    pub model: &'a ModelGraph<'a>,
    pub denoiser: &'a str,
}

/// A prompt or a vector of a denoiser that a prompt gives.
pub(super) struct ConditionPart<'a> {
    pub name: String,
    /// The vector, if it is one.
    vector: Option<&'a JoinedVector>,
}

impl ConditionPart<'_> {
    /// The id of its value, made by a node for a prompt.
    pub fn value(&self, node: &str, prompt: &str) -> String {
        self.vector.map_or_else(|| node.to_string(), |vector| vector.value_of(node, prompt))
    }
}

impl<'a> Conditions<'a> {
    /// The prompts that the denoiser attends to, or whose vector joins its time; `None` if the denoiser is wrong.
    pub fn taken(&self) -> Option<Vec<&'a str>> {
        let (_, plan) = self.model.denoisers.get(self.denoiser)?;
        let plan = plan.as_ref()?;
        let vectors = plan.vectors.iter().flat_map(|vectors| vectors.from.values().map(|vector| &vector.prompt));
        let vectors = vectors.filter(|prompt| !plan.prompts.contains(prompt));
        Some(plan.prompts.iter().chain(vectors).map(String::as_str).collect())
    }

    /// What a prompt gives to the denoiser. A prompt that is made of others also has their vectors.
    pub fn of(&self, prompt: &str) -> Vec<ConditionPart<'a>> {
        let plan = self.model.denoisers.get(self.denoiser).and_then(|(_, plan)| plan.as_ref());
        let parts = self.model.parts(prompt);
        let vectors = plan.iter().flat_map(|plan| plan.vectors.iter().flat_map(|vectors| &vectors.from));
        let own = vectors.filter(|(_, vector)| parts.contains(&vector.prompt.as_str()));
        let part =
            |(name, vector): (&String, &'a JoinedVector)| ConditionPart { name: name.clone(), vector: Some(vector) };
        let mut found: Vec<ConditionPart> = own.map(part).collect();
        // Rules report a prompt that the denoiser does not have.
        if found.is_empty() || plan.is_none_or(|plan| plan.prompts.iter().any(|known| known == prompt)) {
            found.insert(0, ConditionPart { name: prompt.to_string(), vector: None });
        }
        found
    }

    /// Refuses unknown planes, and a denoiser with a plane that is not given. `value` is what a plane's value is called.
    pub fn check_planes(&self, roles: &RolesSpec, value: &'static str, at: Span, report: &mut Report) -> Option<()> {
        let wanted = self.model.planes(self.denoiser);
        let given = || roles.planes.iter().map(|plane| &plane.stream);
        for name in given().filter(|name| !wanted.contains(&name.value)) {
            unknown("plane", name, wanted.iter().map(String::as_str), report);
        }
        let mut known = wanted.iter().filter(|plane| self.model.streams.contains_key(*plane));
        let Some(plane) = known.find(|plane| !given().any(|name| name.value == **plane)) else { return Some(()) };
        let (denoiser, plane) = (self.denoiser.to_string(), plane.clone());
        let problem = match roles.can_have_planes {
            true => ConditionProblem::NoPlane { denoiser, plane, value },
            false => ConditionProblem::NoPlaneHere { denoiser, plane },
        };
        report.error(at, problem);
        None
    }
}
