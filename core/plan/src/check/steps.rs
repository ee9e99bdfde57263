//! Rule: the steps of a stage are given, and the rows and steps that are counted within them fit.

use crate::check::Rule;
use crate::error::Report;
use crate::graph::Training;
use crate::plan::Trained;
use crate::problem::{Caution, Problem};
use crate::spec::StageSpec;

pub(super) struct Steps;

impl Rule for Steps {
    fn training(&self, training: &Training, report: &mut Report) {
        for stage in &training.stages {
            match (&stage.train, stage.spec.steps) {
                (Some(Trained::Statistics), _) => without_effect(stage.spec, report),
                (Some(_), Some(steps)) => kept(stage.spec, steps, report),
                (Some(_), None) => missing(stage.spec, report),
                (None, _) => {}
            }
            micro_batch(stage.spec, report);
        }
    }
}

/// Keys of a stage without effect if nothing is trained.
const WITHOUT_STATISTICS: [&str; 7] = ["train", "steps", "keep", "batch", "micro_batch", "optimizer", "ema"];

fn without_effect(stage: &StageSpec, report: &mut Report) {
    for key in stage.written.iter().filter(|key| WITHOUT_STATISTICS.contains(&key.value.as_str())) {
        let reason = "objective `statistics` reads all rows once and trains nothing".to_string();
        report.warning(key.span, Caution::NoEffect { key: key.value.clone(), reason });
    }
}

fn missing(stage: &StageSpec, report: &mut Report) {
    if stage.key("steps").is_none() {
        report.error(stage.span, Problem::MissingKey { key: "steps".into(), within: stage.label() });
    }
}

/// The rows of a network call are at most those of a step.
fn micro_batch(stage: &StageSpec, report: &mut Report) {
    let (Some(batch), Some(micro)) = (stage.batch, stage.micro_batch) else { return };
    if micro > batch {
        let what = format!("`micro_batch` of {}", stage.label());
        let bound = format!("at most `batch` = {batch}");
        let at = stage.key("micro_batch").unwrap_or(stage.span);
        report.error(at, Problem::OutOfBounds { what, value: micro.to_string(), bound });
    }
}

/// The steps after which weights are kept: each after the one before it, and all before the last.
fn kept(stage: &StageSpec, steps: u64, report: &mut Report) {
    let mut least = 1;
    for step in &stage.keep {
        if step.value < least || step.value >= steps {
            let what = format!("a step in `keep` of {}", stage.label());
            let bound = format!("at least {least} and below `steps` = {steps}");
            report.error(step.span, Problem::OutOfBounds { what, value: step.value.to_string(), bound });
        }
        least = least.max(step.value + 1);
    }
}
