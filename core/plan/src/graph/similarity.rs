//! `similarity`: each prompt reads the cells of its stream, and all these prompts have the same shape.

use indexmap::IndexMap;

use crate::error::Report;
use crate::graph::ModelGraph;
use crate::plan::PromptConfig;
use crate::problem::{Caution, Problem};
use crate::spec::{EvaluationSpec, unknown};

/// The prompt of each stream that has one; wrong ones are reported and left out.
pub(super) fn resolve_similarity(
    spec: &EvaluationSpec,
    model: &ModelGraph,
    report: &mut Report,
) -> IndexMap<String, String> {
    let mut resolved: IndexMap<String, String> = IndexMap::new();
    for (stream, prompt) in &spec.similarity {
        let (Some(read), Some(reader)) = (model.streams.get(&stream.value), model.prompts.get(&prompt.value)) else {
            if !model.streams.contains_key(&stream.value) {
                unknown("stream", stream, model.streams.keys().map(String::as_str), report);
            }
            if !model.prompts.contains_key(&prompt.value) {
                unknown("prompt", prompt, model.prompts.keys().map(String::as_str), report);
            }
            continue;
        };
        let (Some(read), Some(reader)) = (&read.plan, &reader.plan) else { continue };
        if read.cells != *reader.cells() {
            let one = format!("stream `{}` is {}", stream.value, read.cells);
            let other = format!("prompt `{}` reads {}", prompt.value, reader.cells());
            report.error(prompt.span, Problem::Mismatch { what: "cells", one, other });
            continue;
        }
        let first = resolved.values().next().and_then(|name| Some((name, model.prompts[name].plan.as_ref()?)));
        if let Some((name, first)) = first.filter(|(_, first)| first.tokens() != reader.tokens()) {
            let shown = |plan: &PromptConfig| format!("{:?}", plan.tokens().unwrap_or_default());
            let one = format!("those of `{name}` are {}", shown(first));
            let other = format!("those of `{}` are {}", prompt.value, shown(reader));
            report.error(prompt.span, Problem::Mismatch { what: "tokens", one, other });
            continue;
        }
        resolved.insert(stream.value.clone(), prompt.value.clone());
    }
    if let [(stream, _)] = spec.similarity.as_slice() {
        let reason = "it needs at least two streams to compare".into();
        report.warning(stream.span, Caution::NoEffect { key: "similarity".into(), reason });
    }
    resolved
}
