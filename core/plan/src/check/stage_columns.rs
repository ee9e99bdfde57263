//! Rule: the table of a stage has the columns that the stage reads.

use anyflow_config::ObjectiveFacts;

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{ModelGraph, StageNode, Training, has_column, missing_column};
use crate::plan::Trained;

pub(super) struct StageColumns;

impl Rule for StageColumns {
    fn training(&self, training: &Training, report: &mut Report) {
        for stage in &training.stages {
            let StageNode { spec, train: Some(train), table: Some(table) } = stage else { continue };
            let (Some(at), Some(objective)) = (&spec.data, &spec.objective) else { continue };
            let (model, facts) = (training.model, objective.facts());
            let mut missing = |wanted: &str| missing_column(&table.name.value, wanted, &spec.label(), at, report);
            let needed = |name: &&String| model.has(name) && !has_column(table, name, model);
            for name in read_by(facts, train, training).iter().filter(needed) {
                let what = if model.prompts.contains_key(name) { "prompt" } else { "stream" };
                missing(&format!("{what} `{name}`"));
            }
            if let Trained::Denoiser { name, .. } = train {
                let prompts = prompts_of(name, model);
                if !prompts.is_empty() && !prompts.iter().any(|prompt| has_column(table, prompt, model)) {
                    missing(&format!("any of the prompts {}", prompts.join(", ")));
                }
            }
            if facts.needs_class() && table.class.is_none() {
                missing("the class (`class`)");
            }
        }
    }
}

/// The streams and prompts whose columns a stage needs. Of a denoiser's prompts, it needs only one.
fn read_by(facts: &dyn ObjectiveFacts, train: &Trained, training: &Training) -> Vec<String> {
    let model = training.model;
    let takes_part = |stream: &&String| facts.streams().is_none_or(|named| named.contains(stream));
    match train {
        Trained::Stream { name, .. } => vec![name.clone()],
        Trained::Denoiser { name, .. } => {
            let Some((all, _)) = model.denoisers.get(name) else { return Vec::new() };
            all.iter().filter(|stream| takes_part(stream) || model.is_companion(name, stream)).cloned().collect()
        }
        Trained::Modules { names, .. } => {
            let partner = facts.partner().filter(|partner| !names.contains(partner));
            names.iter().chain(partner).cloned().collect()
        }
        Trained::Scorer { name, .. } => {
            let scorer = training.spec.scorers.iter().find(|scorer| scorer.name.value == *name);
            scorer.and_then(|scorer| scorer.stream.as_ref()).map(|stream| stream.value.clone()).into_iter().collect()
        }
        Trained::Nothing { .. } => model.streams.keys().filter(takes_part).cloned().collect(),
    }
}

fn prompts_of<'m>(denoiser: &str, model: &'m ModelGraph) -> &'m [String] {
    match model.denoisers.get(denoiser) {
        Some((_, Some(plan))) => &plan.prompts,
        _ => &[],
    }
}
