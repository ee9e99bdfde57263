//! Scorers of trainings and judges of evaluations: a module that takes a stream's array as input, or the stream's codec.

use crate::catalog::Catalog;
use crate::component::{self, Found};
use crate::descriptor::{ModuleDescriptor, Role};
use crate::error::Report;
use crate::graph::{ModelGraph, StreamNode};
use crate::infer::Solver;
use crate::plan::{Form, ScorerConfig, Stream};
use crate::problem::{Problem, problems};
use crate::source::SpannedString;
use crate::spec::{Use, unknown};

problems! {
    /// What can be wrong with a scorer or a judge.
    pub(crate) enum ScorerProblem {
        /// A judge is a codec that the stream does not use.
        /// Example: `judges: {label: {score: PLUGIN/png}}`.
        /// Cure: Use the codec of the stream, or a module that scores.
        #[error("codec `{codec}` cannot judge stream `{stream}`; use the stream's codec `{own}` or a module")]
        ForeignCodec { codec: String, stream: String, own: String },
        /// A scorer or judge outputs something else than a score per class.
        /// Example: A judge that is a codec of images, whose array has three axes.
        /// Cure: Use a codec or module with one output axis, the classes.
        #[error("{scorer} must output scores [class], but outputs {found:?}; use another scorer")]
        NoScores { scorer: String, found: Vec<i64> },
        /// A judge is the codec of its stream, and the codec of the model has its parameters already.
        /// Example: `judges: {label: {score: {use: PLUGIN/one-hot, classes: 12}}}`.
        /// Cure: Remove the parameter, or change it in the model.
        #[error("`{key}` has no effect: the judge is the stream's codec, with the parameters of the model")]
        ParameterOfCodec { key: String },
        /// A scorer or judge is a codec, and a codec has no weights.
        /// Example: `judges: {label: {score: PLUGIN/one-hot, weights: judges.safetensors}}`.
        /// Cure: Remove `weights`, or use a module that scores.
        #[error("`weights` has no effect: the {scorer} is a codec, which has no weights")]
        WeightsOfCodec { scorer: &'static str },
    }
}

/// Key of the scorer in an inference.
const SCORER: &str = "scorer";

/// Resolves a scorer; errors are reported.
pub(crate) fn resolve_scorer(
    stream: &SpannedString,
    used: &Use,
    checkpoint: Option<String>,
    model: &ModelGraph,
    catalog: &Catalog,
    report: &mut Report,
) -> Option<ScorerConfig> {
    let Some(node) = model.streams.get(&stream.value) else {
        unknown("stream", stream, model.streams.keys().map(String::as_str), report);
        return None;
    };
    if component::is_codec(&used.component.value, catalog) {
        return by_codec(stream, used, checkpoint, node, report);
    }
    let module = component::module(used, catalog, report)?;
    by_module(stream, &module, checkpoint, node, report)
}

/// A stream whose array is the scores themselves.
fn by_codec(
    stream: &SpannedString,
    used: &Use,
    checkpoint: Option<String>,
    node: &StreamNode,
    report: &mut Report,
) -> Option<ScorerConfig> {
    let component = &used.component;
    if node.codec.as_ref() != Some(&component.value) {
        let codec = component.value.clone();
        let own = node.codec.clone().unwrap_or_default();
        report.error(component.span, ScorerProblem::ForeignCodec { codec, stream: stream.value.clone(), own });
        return None;
    }
    for key in used.parameters.iter().map(|entry| &entry.key) {
        report.warning(key.span, ScorerProblem::ParameterOfCodec { key: key.value.clone() });
    }
    match node.plan.as_ref()?.array.elements()?.0 {
        [classes] => {
            let stream = stream.value.clone();
            let classes = *classes;
            Some(ScorerConfig { stream, module: None, classes, features: None, perceptual: None, checkpoint })
        }
        sizes => {
            let scorer = format!("codec `{}`", component.value);
            report.error(component.span, ScorerProblem::NoScores { scorer, found: sizes.to_vec() });
            None
        }
    }
}

fn by_module(
    stream: &SpannedString,
    found: &Found<ModuleDescriptor>,
    checkpoint: Option<String>,
    node: &StreamNode,
    report: &mut Report,
) -> Option<ScorerConfig> {
    let Found { placed, descriptor: module } = found;
    let at = placed.component.span;
    let (input, output) = component::need_role(module, Role::Score, &placed.component, at, report)?;
    if checkpoint.is_none() {
        component::need_gradients(module, &placed.component, at, report)?; // a training trains its scorers
    }
    let plan = node.plan.as_ref()?;
    if plan.modality != module.modality {
        let one = format!("stream `{}` is {}", stream.value, plan.modality);
        let other = format!("{} is for {}", placed.label(), module.modality);
        report.error(at, Problem::Mismatch { what: "modalities", one, other });
        return None;
    }
    let mut solver = Solver::default();
    let array = solver.array(&array_label(stream, plan), stream.span, &plan.array)?;
    let input = solver.port(SCORER, placed, input, "the input to score");
    let output = solver.port(SCORER, placed, output, "the output of score");
    let mut output_of =
        |role, what| component::role(module, role).map(|role| solver.port(SCORER, placed, &role.output, what));
    let features = output_of(Role::Features, "the output of features");
    let perceptual = output_of(Role::Perceptual, "the output of perceptual");
    solver.unify(&array, &input, report);
    solver.settle(SCORER, placed);
    let component = solver.component(SCORER, placed, report);
    match solver.sizes(&output)?.as_slice() {
        [classes] => {
            let stream = stream.value.clone();
            let classes = *classes;
            let features = features.and_then(|features| solver.sizes(&features));
            let perceptual = perceptual.and_then(|perceptual| solver.sizes(&perceptual));
            Some(ScorerConfig { stream, module: Some(component), classes, features, perceptual, checkpoint })
        }
        sizes => {
            report.error(at, ScorerProblem::NoScores { scorer: placed.label(), found: sizes.to_vec() });
            None
        }
    }
}

fn array_label(stream: &SpannedString, plan: &Stream) -> String {
    let sizes = match &plan.array.form {
        Form::Array { shape, .. } => format!(" {shape:?}"),
        _ => String::new(),
    };
    format!("the array{sizes} of stream `{}`", stream.value)
}
