//! Rule: guidance names streams that are there, and there is something to guide towards.

use serde_json::Value as Json;

use crate::error::Report;
use crate::graph::StreamLists;
use crate::problem::Problem;
use crate::source::SpannedString;
use crate::spec::{GuidanceSpec, unknown};

/// The guidance of one diffusion; nothing when it is wrong, which is reported.
pub(crate) fn resolve(spec: &GuidanceSpec, lists: &StreamLists, report: &mut Report) -> Option<Json> {
    let generated = generated(lists);
    let observed: Vec<&str> = given(lists).collect();
    let known = all_known("observed stream or prompt", &spec.conditions, &observed, report)
        & all_known("generated stream", &spec.streams, &generated, report);
    if !known {
        return None;
    }
    if !applies(spec, lists) {
        let reason = match is_joint(spec) {
            true => "guides generated streams by one another, and fewer than two are generated",
            false => "guides towards what is observed and what conditions, and there is nothing",
        };
        report.error(spec.span, Problem::Impossible { what: "`guidance`".into(), reason: reason.into() });
        return None;
    }
    Some(spec.json.clone())
}

/// Refuses names that are no streams of the denoiser: what guidance for several tasks may name.
pub(crate) fn check_names(spec: &GuidanceSpec, streams: &[String], report: &mut Report) -> bool {
    let streams: Vec<&str> = streams.iter().map(String::as_str).collect();
    all_known("stream", &spec.conditions, &streams, report) & all_known("stream", &spec.streams, &streams, report)
}

/// Whether there is something to guide towards.
pub(crate) fn applies(spec: &GuidanceSpec, lists: &StreamLists) -> bool {
    let names = |given: &str| spec.conditions.is_empty() || spec.conditions.iter().any(|name| name.value == given);
    match is_joint(spec) {
        true => generated(lists).len() > 1,
        false => given(lists).any(names),
    }
}

fn is_joint(spec: &GuidanceSpec) -> bool {
    spec.json["kind"] == "joint"
}

/// What guidance can go towards.
fn given(lists: &StreamLists) -> impl Iterator<Item = &str> {
    lists.observe.iter().chain(&lists.prompts).map(String::as_str)
}

/// What is sampled, whether somebody reads it or not.
fn generated(lists: &StreamLists) -> Vec<&str> {
    lists.generate.iter().chain(&lists.along).map(String::as_str).collect()
}

fn all_known(what: &str, names: &[SpannedString], known: &[&str], report: &mut Report) -> bool {
    let strangers: Vec<_> = names.iter().filter(|name| !known.contains(&name.value.as_str())).collect();
    strangers.iter().for_each(|name| unknown(what, name, known.iter().copied(), report));
    strangers.is_empty()
}
