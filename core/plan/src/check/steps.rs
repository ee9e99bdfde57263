//! Rule: the steps of a stage are given, and the rows and steps that are counted within them fit.

use anyflow_config::{Keyed, StageOptions};

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{StageNode, Training};
use crate::plan::Trained;
use crate::problem::{Caution, Problem};
use crate::spec::{StageSpec, WrittenKey};

pub(super) struct Steps;

impl Rule for Steps {
    fn training(&self, training: &Training, report: &mut Report) {
        for StageNode { spec, train, .. } in &training.stages {
            if let Some(Trained::Nothing { objective }) = train {
                without_effect(spec, objective.name(), report);
                continue;
            }
            let options = spec.options.as_ref();
            match options.and_then(|options| Some((options, options.steps?))) {
                Some((options, steps)) => kept(spec, options.keep(), steps, report),
                None if train.is_some() && spec.key("steps").is_none() => missing(spec, report),
                None => {}
            }
            options.into_iter().for_each(|options| micro_batch(spec, options, report));
        }
    }
}

/// Keys of a stage that trains nothing.
fn without_effect(stage: &StageSpec, objective: &str, report: &mut Report) {
    let is_option = |name: &str| name == "train" || StageOptions::KEYS.iter().any(|key| key.name == name);
    for WrittenKey { key, .. } in stage.written.iter().filter(|written| is_option(&written.key.value)) {
        let reason = format!("objective `{objective}` reads all rows once and trains nothing");
        report.warning(key.span, Caution::NoEffect { key: key.value.clone(), reason });
    }
}

fn missing(stage: &StageSpec, report: &mut Report) {
    report.error(stage.span, Problem::MissingKey { key: "steps".into(), within: stage.label() });
}

/// The rows of a network call are at most those of a step.
fn micro_batch(stage: &StageSpec, options: &StageOptions, report: &mut Report) {
    if options.micro_batch() > options.batch {
        let what = format!("`micro_batch` of {}", stage.label());
        let bound = format!("at most `batch` = {}", options.batch);
        let at = stage.key("micro_batch").map_or(stage.span, |written| written.key.span);
        report.error(at, Problem::OutOfBounds { what, value: options.micro_batch().to_string(), bound });
    }
}

/// The steps after which weights are kept: each after the one before it, and all before the last.
fn kept(stage: &StageSpec, keep: &[u64], steps: u64, report: &mut Report) {
    let mut least = 1;
    let places = stage.key("keep").map_or(&[][..], |written| &written.items);
    for (step, place) in keep.iter().zip(places) {
        if *step < least || *step >= steps {
            let what = format!("a step in `keep` of {}", stage.label());
            let bound = format!("at least {least} and below `steps` = {steps}");
            report.error(*place, Problem::OutOfBounds { what, value: step.to_string(), bound });
        }
        least = least.max(step + 1);
    }
}
