//! Rule: the table of a stage has the columns that the stage reads.

use anyflow_config::ObjectiveFacts;

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{ModelGraph, StageNode, Training, has_column};
use crate::plan::Trained;
use crate::problem::{CodeEntry, problems};

problems! {
    /// Columns that the table of a stage lacks.
    pub(crate) enum StageColumnProblem {
        /// The table of a stage has no column for a stream or prompt that the stage reads.
        /// Example: A stage that trains a denoiser over two streams, on a table with the column of one.
        /// Cure: Add the column to `columns` of the table, or train fewer streams.
        #[error("table `{table}` has no column for {what} `{name}`, which {stage} reads")]
        StageLacksColumn { table: String, what: &'static str, name: String, stage: String },
        /// A stage trains a denoiser with prompts, and its table has a column for none of them.
        /// Example: `train: joint` for a denoiser with `prompts: [words]`, on a table without `words`.
        /// Cure: Add the column of a prompt to `columns` of the table.
        #[error("table `{table}` has no column for any of the prompts {}, which {stage} reads", .prompts.join(", "))]
        StageLacksPrompts { table: String, prompts: Vec<String>, stage: String },
        /// The objective of a stage needs the class of each row, and the table has none.
        /// Example: `objective: {kind: classify}` on a table without `class`.
        /// Cure: Add `class: SOURCE.COLUMN` to the table.
        #[error("table `{table}` has no column for the class (`class`), which {stage} reads")]
        StageLacksClass { table: String, stage: String },
    }
}

pub(super) struct StageColumns;

impl Rule for StageColumns {
    fn training(&self, training: &Training, report: &mut Report) {
        for stage in &training.stages {
            let StageNode { spec, train: Some(train), table: Some(table) } = stage else { continue };
            let (Some(at), Some(objective)) = (&spec.data, &spec.objective) else { continue };
            let (model, facts) = (training.model, objective.facts());
            let owners = || (table.name.value.clone(), spec.label());
            let needed = |name: &&String| model.has(name) && !has_column(table, name, model);
            for name in read_by(facts, train, training).iter().filter(needed) {
                let what = if model.prompts.contains_key(name) { "prompt" } else { "stream" };
                let (table, stage) = owners();
                let name = name.clone();
                report.error(at.span, StageColumnProblem::StageLacksColumn { table, what, name, stage });
            }
            if let Trained::Denoiser { name, .. } = train {
                let prompts = prompts_of(name, model);
                if !prompts.is_empty() && !prompts.iter().any(|prompt| has_column(table, prompt, model)) {
                    let (table, stage) = owners();
                    let prompts = prompts.to_vec();
                    report.error(at.span, StageColumnProblem::StageLacksPrompts { table, prompts, stage });
                }
            }
            if facts.needs_class() && table.class.is_none() {
                let (table, stage) = owners();
                report.error(at.span, StageColumnProblem::StageLacksClass { table, stage });
            }
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        StageColumnProblem::codes()
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
