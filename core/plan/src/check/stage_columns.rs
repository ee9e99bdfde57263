//! Rule: the table of a stage has the columns that the stage reads.

use anyflow_config::ObjectiveConfig;

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{ModelGraph, StageNode, Training, has_column, missing_column};
use crate::plan::Trained;

pub(super) struct StageColumns;

impl Rule for StageColumns {
    fn training(&self, training: &Training, report: &mut Report) {
        for stage in &training.stages {
            let (Some(at), Some(train), Some(table)) = (&stage.spec.data, &stage.train, stage.table) else { continue };
            let model = training.model;
            let mut missing = |wanted: &str| missing_column(&table.name.value, wanted, &stage.spec.label(), at, report);
            let needed = |name: &&String| model.has(name) && !has_column(table, name, model);
            for name in read_by(stage, train, training).iter().filter(needed) {
                let what = if model.prompts.contains_key(name) { "prompt" } else { "stream" };
                missing(&format!("{what} `{name}`"));
            }
            if let Trained::Denoiser(name) = train {
                let prompts = prompts_of(name, model);
                if !prompts.is_empty() && !prompts.iter().any(|prompt| has_column(table, prompt, model)) {
                    missing(&format!("any of the prompts {}", prompts.join(", ")));
                }
            }
            if matches!(train, Trained::Scorer(_)) && table.class.is_none() {
                missing("the class (`class`)");
            }
        }
    }
}

/// The streams and prompts whose columns a stage needs. Of a denoiser's prompts, it needs only one.
fn read_by(stage: &StageNode, train: &Trained, training: &Training) -> Vec<String> {
    let model = training.model;
    match (&stage.spec.objective, train) {
        (_, Trained::Stream(stream)) => vec![stream.clone()],
        (Some(ObjectiveConfig::Denoise(options)), Trained::Denoiser(name)) => {
            let Some((all, _)) = model.denoisers.get(name) else { return Vec::new() };
            let takes_part = |stream: &&String| {
                options.streams.as_ref().is_none_or(|named| named.contains(stream)) || model.is_companion(name, stream)
            };
            all.iter().filter(takes_part).cloned().collect()
        }
        (Some(ObjectiveConfig::Statistics(options)), _) => {
            let is_measured = |stream: &&String| options.streams.as_ref().is_none_or(|named| named.contains(stream));
            model.streams.keys().filter(is_measured).cloned().collect()
        }
        (Some(ObjectiveConfig::Contrast(options)), Trained::Prompts(names)) => {
            let partner = Some(&options.with).filter(|partner| !names.contains(partner));
            names.iter().chain(partner).cloned().collect()
        }
        (_, Trained::Scorer(name)) => {
            let scorer = training.spec.scorers.iter().find(|scorer| scorer.name.value == *name);
            scorer.and_then(|scorer| scorer.stream.as_ref()).map(|stream| stream.value.clone()).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn prompts_of<'m>(denoiser: &str, model: &'m ModelGraph) -> &'m [String] {
    match model.denoisers.get(denoiser) {
        Some((_, Some(plan))) => &plan.prompts,
        _ => &[],
    }
}
