//! Nodes that a trained scorer judges, resolved against the model.

use crate::catalog::Catalog;
use crate::component;
use crate::descriptor::CellKind;
use crate::error::Report;
use crate::graph::{FEATURES, LABEL, ModelGraph, SCORES, ScorerProblem, resolve_scorer};
use crate::plan::{Form, ScorerConfig, Type};
use crate::problem::Problem;
use crate::source::SpannedString;
use crate::spec::ScorerNodeSpec;
use crate::types::fixed_list;

/// A node with its scorer.
#[derive(Clone, Debug)]
pub(crate) struct ScorerNode {
    pub scorer: ScorerConfig,
    /// Names of the classes; empty if they are numbers.
    pub names: Vec<String>,
}

impl ScorerNode {
    /// Its ports.
    pub fn ports(&self) -> &'static [&'static str] {
        if self.scorer.features.is_some() { &[LABEL, SCORES, FEATURES] } else { &[LABEL, SCORES] }
    }

    /// The type of a port: the name or number of the best class, a number for each class, or the features of a row.
    pub fn type_of_port(&self, port: &str, modality: &str) -> Type {
        let (cell, feature) = match port {
            LABEL if self.names.is_empty() => (CellKind::I64, "Value(int64)".to_string()),
            LABEL => (CellKind::Utf8, "Value(string)".to_string()),
            FEATURES => (CellKind::List(1), fixed_list(self.scorer.features.iter().flatten().product())),
            _ => (CellKind::List(1), "List(Value(float32))".to_string()),
        };
        Type { modality: modality.to_string(), form: Form::Cells { cell, feature } }
    }
}

/// Resolves a node; `None` if something is wrong, which is reported.
pub(crate) fn resolve_scorer_node(
    spec: &ScorerNodeSpec,
    model: &ModelGraph,
    catalog: &Catalog,
    report: &mut Report,
) -> Option<ScorerNode> {
    let stream = stream_of(spec, model, catalog, report)?;
    let weights = spec.weights.as_ref().map(|weights| weights.value.clone());
    let is_codec = component::is_codec(&spec.score.component.value, catalog);
    match &spec.weights {
        Some(weights) if is_codec => {
            report.warning(weights.span, ScorerProblem::WeightsOfCodec { scorer: "scorer" });
        }
        None if !is_codec => {
            let problem = Problem::MissingKey { key: "weights".into(), within: spec.within.clone() };
            report.error(spec.score.component.span, problem);
            return None;
        }
        _ => {}
    }
    let scorer = resolve_scorer(&stream, &spec.score, weights.filter(|_| !is_codec), model, catalog, report)?;
    let names: Vec<String> = spec.classes.iter().map(|class| class.value.clone()).collect();
    if !names.is_empty() && names.len() as i64 != scorer.classes {
        let component = &spec.score.component.value;
        let what = "numbers of classes";
        let one = format!("`{component}` has {}", scorer.classes);
        let other = format!("`classes` of {} names {}", spec.within, names.len());
        report.error(spec.score.component.span, Problem::Mismatch { what, one, other });
        return None;
    }
    Some(ScorerNode { scorer, names })
}

/// The stream whose arrays the scorer takes: the one that the node names, or the only one of its modality.
fn stream_of(
    spec: &ScorerNodeSpec,
    model: &ModelGraph,
    catalog: &Catalog,
    report: &mut Report,
) -> Option<SpannedString> {
    if let Some(stream) = &spec.stream {
        return Some(stream.clone());
    }
    let component = &spec.score.component;
    let is_codec = component::is_codec(&component.value, catalog);
    let found = if is_codec { None } else { Some(component::module(&spec.score, catalog, report)?) };
    let fits = |name: &String| {
        let stream = &model.streams[name];
        match &found {
            Some(module) => stream.plan.as_ref().is_some_and(|plan| plan.modality == module.descriptor.modality),
            None => stream.codec.as_ref() == Some(&component.value),
        }
    };
    let fitting: Vec<&String> = model.streams.keys().filter(|name| fits(name)).collect();
    match fitting.as_slice() {
        [only] => return Some(SpannedString::new((*only).clone(), component.span)),
        [] if model.streams.values().any(|stream| stream.plan.is_none()) => {} // a wrong stream was reported
        [] => {
            let one = match &found {
                Some(module) => format!("`{}` is for {}", component.value, module.descriptor.modality),
                None => format!("`{}` is a codec", component.value),
            };
            let other = "no stream of the model is for it".into();
            report.error(component.span, Problem::Mismatch { what: "scorer and model", one, other });
        }
        _ => {
            let candidates = fitting.into_iter().cloned().collect();
            let what = format!("the stream of `{}`", component.value);
            report.error(
                component.span,
                Problem::Ambiguous { what, candidates, remedy: "name one with `stream`".into() },
            );
        }
    }
    None
}
