//! A training with its names resolved.

use indexmap::IndexMap;

use crate::catalog::Catalog;
use crate::error::Report;
use crate::graph::{ModelGraph, StageNode, parts, resolve_generated, resolve_scorer, resolve_table};
use crate::plan::{Generated, ScorerConfig, Table};
use crate::spec::{TrainingSpec, unknown};

/// A training with its names resolved.
pub(crate) struct Training<'s> {
    pub spec: &'s TrainingSpec,
    pub model: &'s ModelGraph<'s>,
    pub generated: IndexMap<String, Generated>,
    pub tables: IndexMap<String, Table>,
    /// Scorers in the order of the file; `None` if one is wrong, which was reported.
    pub scorers: Vec<Option<ScorerConfig>>,
    pub stages: Vec<StageNode<'s>>,
}

/// Resolves a training; wrong parts are reported and left out.
pub(crate) fn resolve_training<'s>(
    spec: &'s TrainingSpec,
    model: &'s ModelGraph<'s>,
    catalog: &Catalog,
    report: &mut Report,
) -> Training<'s> {
    let generated = resolve_generated(&spec.sources, catalog, report);
    let tables = spec.data.iter().map(|table| {
        let label = format!("table `{}`", table.name.value);
        (table.name.value.clone(), resolve_table(table, &label, &spec.sources, model, report))
    });
    let tables = tables.collect();
    let scorers = spec.scorers.iter().map(|scorer| {
        let (stream, used) = scorer.stream.as_ref().zip(scorer.score.as_ref())?;
        resolve_scorer(stream, used, None, model, catalog, report)
    });
    let scorers = scorers.collect();
    let stages = spec.stages.iter().map(|stage| StageNode::resolve(stage, spec, model, report)).collect();
    fresh(spec, model, report);
    taken(spec, model, report);
    Training { spec, model, generated, tables, scorers, stages }
}

/// The parts that are initialized anew must exist.
fn fresh(spec: &TrainingSpec, model: &ModelGraph, report: &mut Report) {
    let scorers = spec.scorers.iter().map(|scorer| scorer.name.value.as_str());
    let parts = model.streams.keys().chain(model.prompts.keys()).chain(model.denoisers.keys()).map(String::as_str);
    let known: Vec<&str> = parts.chain(scorers).collect();
    for name in spec.fresh.iter().filter(|name| !known.contains(&name.value.as_str())) {
        unknown("stream, prompt, denoiser or scorer", name, known.iter().copied(), report);
    }
}

/// The parts that start from other files, by the names that a checkpoint uses, must exist.
fn taken(spec: &TrainingSpec, model: &ModelGraph, report: &mut Report) {
    let scorers = spec.scorers.iter().map(|scorer| scorer.name.value.as_str());
    let known: Vec<String> = parts::named("streams", model.streams.keys().map(String::as_str))
        .chain(parts::named("prompts", model.prompts.keys().map(String::as_str)))
        .chain(parts::named("denoisers", model.denoisers.keys().map(String::as_str)))
        .chain(parts::named("scorers", scorers))
        .collect();
    parts::check(&spec.take, &known, report);
}
