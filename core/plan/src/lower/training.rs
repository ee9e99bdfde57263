//! The plan of a training.

use anyflow_config::StageOptions;

use crate::graph::{StageNode, Training, parts};
use crate::lower::sources;
use crate::plan::{PLAN_FORMAT, Stage, TrainPlan};
use crate::source::Source;

/// Makes the plan of a training without errors; `None` if it has errors.
pub(crate) fn lower(training: &Training, source: &Source, data_root: Option<&str>) -> Option<TrainPlan> {
    let Training { spec, model, generated, tables, scorers, stages } = training;
    let names = spec.scorers.iter().map(|scorer| scorer.name.value.clone());
    let scorers = names.zip(scorers).map(|(name, scorer)| Some((name, scorer.clone()?)));
    Some(TrainPlan {
        format: PLAN_FORMAT,
        name: spec.name.as_ref()?.value.clone(),
        source: source.path.clone(),
        model: model.plan()?,
        start: spec.start.as_ref().map(|path| source.beside(&path.value)),
        fresh: spec.fresh.iter().map(|name| name.value.clone()).collect(),
        take: parts::files(&spec.take, source)?,
        scorers: scorers.collect::<Option<_>>()?,
        sources: sources::files(&spec.sources, source, data_root),
        generated: generated.clone(),
        data: tables.clone(),
        stages: stages.iter().map(stage).collect::<Option<_>>()?,
        seed: spec.seed?,
    })
}

fn stage(node: &StageNode) -> Option<Stage> {
    let spec = node.spec;
    let train = node.train.clone()?;
    let options = spec.options.clone()?;
    Some(Stage {
        name: spec.name.as_ref()?.value.clone(),
        options: if train.is_nothing() { StageOptions::default() } else { options },
        train,
        data: node.table?.name.value.clone(),
    })
}
