//! Scorers of trainings and judges of evaluations: a module that sees a stream's array, or the stream's own codec.

use crate::compile::Catalog;
use crate::component::{self, Placed};
use crate::descriptor::{ModuleDescriptor, Role};
use crate::error::Report;
use crate::graph::{ModelGraph, StreamNode};
use crate::infer::Solver;
use crate::plan::{Form, Scorer, Stream};
use crate::problem::{Caution, Problem};
use crate::source::SpannedString;
use crate::spec::{Use, unknown};

/// Key of the scorer in an inference.
const SCORER: &str = "scorer";

/// Resolves a scorer; what is wrong is reported.
pub(crate) fn resolve(
    stream: &SpannedString,
    used: &Use,
    checkpoint: Option<String>,
    model: &ModelGraph,
    catalog: &Catalog,
    report: &mut Report,
) -> Option<Scorer> {
    let Some(node) = model.streams.get(&stream.value) else {
        unknown("stream", stream, model.streams.keys().map(String::as_str), report);
        return None;
    };
    if component::is_codec(&used.component.value, catalog) {
        return by_codec(stream, used, checkpoint, node, report);
    }
    let (placed, module) = component::module(used, catalog, report)?;
    by_module(stream, &placed, module, checkpoint, node, report)
}

/// A stream whose array is the scores themselves.
fn by_codec(
    stream: &SpannedString,
    used: &Use,
    checkpoint: Option<String>,
    node: &StreamNode,
    report: &mut Report,
) -> Option<Scorer> {
    let component = &used.component;
    if node.codec.as_ref() != Some(&component.value) {
        let what = format!("codec `{}`", component.value);
        let own = node.codec.clone().unwrap_or_default();
        let reason = format!("cannot judge stream `{}`, whose own codec is `{own}`", stream.value);
        report.error(component.span, Problem::Impossible { what, reason });
        return None;
    }
    for key in used.parameters.iter().map(|entry| &entry.key) {
        let reason = "the stream's own codec judges, with the parameters of the model".into();
        report.warning(key.span, Caution::NoEffect { key: key.value.clone(), reason });
    }
    match node.plan.as_ref()?.array.elements() {
        Some(([classes], _)) => {
            let (stream, classes) = (stream.value.clone(), *classes);
            Some(Scorer { stream, module: None, classes, features: None, perceptual: None, checkpoint })
        }
        _ => {
            let what = format!("codec `{}`", component.value);
            let reason = "cannot judge: its array has more than one axis".into();
            report.error(component.span, Problem::Impossible { what, reason });
            None
        }
    }
}

fn by_module(
    stream: &SpannedString,
    placed: &Placed,
    module: &ModuleDescriptor,
    checkpoint: Option<String>,
    node: &StreamNode,
    report: &mut Report,
) -> Option<Scorer> {
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
    let mut beside =
        |role, what| component::role(module, role).map(|role| solver.port(SCORER, placed, &role.output, what));
    let features = beside(Role::Features, "the output of features");
    let perceptual = beside(Role::Perceptual, "the output of perceptual");
    solver.unify(&array, &input, report);
    solver.settle(SCORER, placed);
    let component = solver.component(SCORER, placed, report);
    match solver.sizes(&output)?.as_slice() {
        [classes] => {
            let (stream, classes) = (stream.value.clone(), *classes);
            let features = features.and_then(|features| solver.sizes(&features));
            let perceptual = perceptual.and_then(|perceptual| solver.sizes(&perceptual));
            Some(Scorer { stream, module: Some(component), classes, features, perceptual, checkpoint })
        }
        sizes => {
            let reason = format!("must give one axis of scores, but gives {sizes:?}");
            report.error(at, Problem::Impossible { what: placed.label(), reason });
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
