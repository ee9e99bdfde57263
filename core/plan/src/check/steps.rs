//! Rule: the steps of a stage are given, and the rows and steps that are counted within them fit. A stage
//! without `steps` is reported as any missing key.

use anyflow_config::{Keyed, StageOptions};

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{StageNode, Training};
use crate::plan::Trained;
use crate::problem::{CodeEntry, Problem, problems};
use crate::spec::{StageSpec, WrittenKey};

problems! {
    /// What can be wrong with the steps of a stage.
    pub(crate) enum StepsProblem {
        /// A stage that trains nothing has a key about training.
        /// Example: `objective: {kind: statistics}` with `batch: 64`.
        /// Cure: Remove the key.
        #[error("`{key}` has no effect: objective `{objective}` reads all rows once and trains nothing")]
        StageTrainsNothing { key: String, objective: &'static str },
        /// A call of the network takes more rows than a step has.
        /// Example: `batch: 256` with `micro_batch: 512`.
        /// Cure: Lower `micro_batch`, or raise `batch`.
        #[error("`micro_batch` of {stage} must be at most `batch` = {batch}, found {found}")]
        MicroBatch { stage: String, batch: u64, found: u64 },
        /// The steps after which weights are kept do not ascend, or are not before the last step.
        /// Example: `steps: 1000` with `keep: [500, 1000]`; the last weights are written in any case.
        /// Cure: List each step after the one before it, and below `steps`.
        #[error("a step in `keep` of {stage} must be at least {least} and below `steps` = {steps}, found {found}")]
        KeptStep { stage: String, least: u64, steps: u64, found: u64 },
    }
}

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

    fn codes(&self) -> Vec<CodeEntry> {
        StepsProblem::codes()
    }
}

/// Keys of a stage that trains nothing.
fn without_effect(stage: &StageSpec, objective: &'static str, report: &mut Report) {
    let is_option = |name: &str| name == "train" || StageOptions::KEYS.iter().any(|key| key.name == name);
    for WrittenKey { key, .. } in stage.written.iter().filter(|written| is_option(&written.key.value)) {
        report.warning(key.span, StepsProblem::StageTrainsNothing { key: key.value.clone(), objective });
    }
}

fn missing(stage: &StageSpec, report: &mut Report) {
    report.error(stage.span, Problem::MissingKey { key: "steps".into(), within: stage.label() });
}

/// The rows of a network call are at most those of a step.
fn micro_batch(stage: &StageSpec, options: &StageOptions, report: &mut Report) {
    let (found, batch) = (options.micro_batch(), options.batch);
    if found > batch {
        let at = stage.key("micro_batch").map_or(stage.span, |written| written.key.span);
        report.error(at, StepsProblem::MicroBatch { stage: stage.label(), batch, found });
    }
}

/// The steps after which weights are kept: each after the one before it, and all before the last.
fn kept(stage: &StageSpec, keep: &[u64], steps: u64, report: &mut Report) {
    let mut least = 1;
    let places = stage.key("keep").map_or(&[][..], |written| &written.items);
    for (&found, place) in keep.iter().zip(places) {
        if found < least || found >= steps {
            report.error(*place, StepsProblem::KeptStep { stage: stage.label(), least, steps, found });
        }
        least = least.max(found + 1);
    }
}
