//! Rule: guidance names existing conditions, and it has something to guide towards.

use anyflow_config::Guidance;

use crate::error::Report;
use crate::plan::{Roles, StreamRole};
use crate::problem::problems;
use crate::source::SpannedString;
use crate::spec::{GuidanceSpec, unknown};

problems! {
    /// Guidance without anything to guide towards.
    pub(crate) enum GuidanceProblem {
        /// Joint guidance strengthens the relation between generated streams, and only one is generated.
        /// Example: `guidance: {kind: joint}` with `diffuse: [x]`.
        /// Cure: Generate or marginalize another stream, or remove `guidance`.
        #[error("joint guidance needs at least two generated streams, found {found}")]
        JointOfOne { found: usize },
        /// Guidance strengthens a condition, and there is none.
        /// Example: `guidance: {kind: cfg}` without `observe` and `condition`.
        /// Cure: Add a condition, or remove `guidance`.
        #[error("guidance needs `observe` or `condition`; add one or remove `guidance`")]
        NothingObserved {},
    }
}

/// The guidance of one diffusion; `None` if it is wrong, which is reported.
pub(crate) fn resolve(spec: &GuidanceSpec, roles: &Roles, report: &mut Report) -> Option<Guidance> {
    let observed: Vec<&str> = conditions(roles).collect();
    if !all_known("observed stream or prompt", &spec.conditions, &observed, report) {
        return None;
    }
    if !applies(spec, roles) {
        let problem = if is_joint(spec) {
            GuidanceProblem::JointOfOne { found: sampled(roles) }
        } else {
            GuidanceProblem::NothingObserved {}
        };
        report.error(spec.span, problem);
        return None;
    }
    Some(spec.guidance.clone())
}

/// Refuses unknown names in the guidance that several tasks share; `known` are the denoiser's streams and prompts.
pub(crate) fn check_names(spec: &GuidanceSpec, known: &[&str], report: &mut Report) {
    all_known("stream", &spec.conditions, known, report);
}

/// True if there is something to guide towards.
pub(crate) fn applies(spec: &GuidanceSpec, roles: &Roles) -> bool {
    if is_joint(spec) {
        return sampled(roles) > 1;
    }
    let is_named = |name: &str| spec.conditions.is_empty() || spec.conditions.iter().any(|named| named.value == name);
    conditions(roles).any(is_named)
}

fn is_joint(spec: &GuidanceSpec) -> bool {
    matches!(spec.guidance, Guidance::Joint(_))
}

/// Everything that guidance can point towards.
fn conditions(roles: &Roles) -> impl Iterator<Item = &str> {
    roles.names(StreamRole::is_condition).map(String::as_str)
}

fn sampled(roles: &Roles) -> usize {
    roles.names(StreamRole::is_sampled).count()
}

fn all_known(what: &str, names: &[SpannedString], known: &[&str], report: &mut Report) -> bool {
    let strangers: Vec<_> = names.iter().filter(|name| !known.contains(&name.value.as_str())).collect();
    strangers.iter().for_each(|name| unknown(what, name, known.iter().copied(), report));
    strangers.is_empty()
}
