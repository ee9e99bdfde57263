//! The roles of streams in a diffusion, resolved against the model.

use crate::error::Report;
use crate::graph::ModelGraph;
use crate::plan::{Roles, StreamRole};
use crate::problem::{Hint, Problem, problems};
use crate::source::SpannedString;
use crate::spec::{RolesSpec, Written, unknown};

problems! {
    /// What can be wrong with the role of a stream.
    pub(crate) enum RoleProblem {
        /// A node or task generates an auxiliary stream, which only a head can predict, and it has none.
        /// Example: `diffuse: [label]`, where `label` is only added into another stream (`aggregate`).
        /// Cure: Observe the stream, list it under `absent`, or add a head to the model.
        #[error("stream `{stream}` has no head to predict it; observe it, or list it under `absent`")]
        NoHead { stream: String },
        /// A mask stands at an auxiliary stream, which is never diffused and so cannot be observed in part.
        /// Example: `observe: {label: {from: seen, mask: holes}}`, where `label` is an auxiliary stream.
        /// Cure: Observe the stream as a whole, without `mask`.
        #[error("stream `{stream}` is an auxiliary stream and cannot have a mask")]
        MaskedAuxiliary { stream: String },
        /// Initial values stand at an auxiliary stream, which is never diffused and so starts from nothing.
        /// Example: `start: {label: seen}`, where `label` is an auxiliary stream.
        /// Cure: Remove the stream from `start`.
        #[error("stream `{stream}` is an auxiliary stream and cannot have initial values; remove it from `start`")]
        StartedAuxiliary { stream: String },
        /// A stream has a mask and initial values, but a late start takes them from one place.
        /// Example: `start: {x: seen}` and `observe: {x: {from: seen, mask: holes}}`.
        /// Cure: Remove the mask or the initial values.
        #[error("stream `{stream}` has a mask, so it cannot have initial values; remove one of them")]
        StartedWithMask { stream: String },
    }
}

/// Refuses unknown streams and streams under two keys; `true` if all are known.
pub(crate) fn known_streams(written: &Written, model: &ModelGraph, report: &mut Report) -> bool {
    let mut good = true;
    let mut seen: Vec<(&str, &SpannedString)> = Vec::new();
    for (word, streams) in written {
        for stream in streams {
            if !model.streams.contains_key(&stream.value) {
                unknown("stream", stream, model.streams.keys().map(String::as_str), report);
                good = false;
            } else if let Some((first, text)) = seen.iter().find(|(_, text)| text.value == stream.value) {
                let problem = Problem::Duplicate { what: "stream".into(), name: stream.value.clone() };
                report.error_with(stream.span, problem, text.span, format!("first given here, in `{first}`"));
                good = false;
            } else {
                seen.push((word, stream));
            }
        }
    }
    good
}

/// Gives every stream of the denoiser a role; `None` if masks or initial values are wrong. A stream that no key names has
/// the role of the others, or is absent if it cannot be generated.
pub(crate) fn resolve_roles(
    spec: &RolesSpec,
    denoiser: &str,
    model: &ModelGraph,
    report: &mut Report,
) -> Option<Roles> {
    let (over, _) = model.denoisers.get(denoiser)?;
    let written = spec.written();
    foreign(&written, denoiser, over, model, report);
    let [generated, observed, marginalized, absent] = &written;
    let mut roles = Roles::default();
    let mut give = |stream: &str, role: StreamRole| {
        roles.0.insert(stream.to_string(), role);
    };
    generated.1.iter().for_each(|stream| give(&stream.value, StreamRole::Generate { start: None }));
    for stream in &observed.1 {
        let from = spec.observe.iter().find(|observed| observed.stream.value == stream.value)?.from.value.clone();
        give(&stream.value, StreamRole::Observe { from, given: spec.given.unwrap_or_default() });
    }
    marginalized.1.iter().for_each(|stream| give(&stream.value, StreamRole::Marginalize));
    absent.1.iter().for_each(|stream| give(&stream.value, StreamRole::Absent));
    let is_named = |stream: &String| written.iter().any(|(_, names)| names.iter().any(|name| name.value == *stream));
    for stream in over.iter().filter(|stream| !is_named(stream)) {
        give(stream, if model.is_only_given(denoiser, stream) { StreamRole::Absent } else { spec.others.clone() });
    }
    for stream in generated.1.iter().chain(&marginalized.1).filter(|it| model.is_only_given(denoiser, &it.value)) {
        report.error(stream.span, RoleProblem::NoHead { stream: stream.value.clone() });
    }
    let masks = masks(spec, denoiser, &mut roles, model, report);
    let starts = starts(spec, denoiser, &mut roles, model, report);
    (masks && starts).then_some(roles)
}

/// Refuses streams of the model that the denoiser does not have.
fn foreign(written: &Written, denoiser: &str, over: &[String], model: &ModelGraph, report: &mut Report) {
    let named = written.iter().flat_map(|(_, streams)| streams);
    for stream in named.filter(|stream| model.streams.contains_key(&stream.value) && !over.contains(&stream.value)) {
        let owner = format!("denoiser `{denoiser}`");
        let what = "stream".into();
        let hint = Hint::among(&stream.value, over.iter().map(String::as_str));
        report.error(stream.span, Problem::NotThere { owner, what, name: stream.value.clone(), hint });
    }
}

/// Sets the masks. Only a stream that is sampled and diffused can have one.
fn masks(spec: &RolesSpec, denoiser: &str, roles: &mut Roles, model: &ModelGraph, report: &mut Report) -> bool {
    let mut good = true;
    for (observed, mask) in spec.masked() {
        let stream = &observed.stream;
        if model.is_companion(denoiser, &stream.value) {
            report.error(stream.span, RoleProblem::MaskedAuxiliary { stream: stream.value.clone() });
        }
        let known: Vec<&str> = roles.names(StreamRole::is_sampled).map(String::as_str).collect();
        if !known.contains(&stream.value.as_str()) {
            unknown("generated stream", stream, known, report);
            good = false;
        } else if let Some(role) = roles.0.get_mut(&stream.value) {
            let discarded = !role.is_output();
            *role = StreamRole::Inpaint { from: observed.from.value.clone(), mask: mask.value.clone(), discarded };
        }
    }
    good
}

/// Sets the initial values. Only a stream that is generated as a whole and diffused can have them.
fn starts(spec: &RolesSpec, denoiser: &str, roles: &mut Roles, model: &ModelGraph, report: &mut Report) -> bool {
    let mut good = true;
    for (stream, from) in &spec.start {
        if model.is_companion(denoiser, &stream.value) {
            report.error(stream.span, RoleProblem::StartedAuxiliary { stream: stream.value.clone() });
            good = false;
            continue;
        }
        match roles.0.get_mut(&stream.value) {
            Some(StreamRole::Generate { start }) => *start = Some(from.value.clone()),
            Some(StreamRole::Inpaint { .. }) => {
                report.error(stream.span, RoleProblem::StartedWithMask { stream: stream.value.clone() });
            }
            _ => {
                unknown("generated stream", stream, roles.outputs().map(String::as_str), report);
                good = false;
            }
        }
    }
    good
}
