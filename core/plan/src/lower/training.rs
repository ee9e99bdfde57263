//! The plan of a training.

use indexmap::IndexMap;

use crate::check::{stages, tables};
use crate::compile::Catalog;
use crate::error::Report;
use crate::graph::ModelGraph;
use crate::lower::scorers;
use crate::plan::{Generated, PLAN_FORMAT, ScorerConfig, Stage, Table, TrainPlan, Trained, WeightsPart};
use crate::problem::{Caution, Problem};
use crate::source::{Source, joined};
use crate::spec::{SourceSpec, StageSpec, TrainingSpec, unknown};

/// Checks a training against its model and makes its plan.
pub(crate) fn lower(
    spec: &TrainingSpec,
    model: &ModelGraph,
    source: &Source,
    catalog: &Catalog,
    data_root: Option<&str>,
    report: &mut Report,
) -> Option<TrainPlan> {
    let data = data(spec, model, report);
    let scorers = scorers_of(spec, model, catalog, report);
    let stages: Vec<_> = spec.stages.iter().map(|stage| lower_stage(stage, spec, model, report)).collect();
    tables::check_sources(&spec.sources, spec.data.iter(), &[], report);
    unused(spec, report);
    Some(TrainPlan {
        format: PLAN_FORMAT,
        name: spec.name.as_ref()?.value.clone(),
        source: source.path.clone(),
        model: model.plan()?,
        start: spec.start.as_ref().map(|path| source.beside(&path.value)),
        fresh: fresh(spec, model, report)?,
        take: taken(spec, model, source, report)?,
        scorers: scorers?,
        sources: files(&spec.sources, source, data_root),
        generated: generated(&spec.sources),
        data,
        stages: stages.into_iter().collect::<Option<_>>()?,
        seed: spec.seed?,
    })
}

fn fresh(spec: &TrainingSpec, model: &ModelGraph, report: &mut Report) -> Option<Vec<String>> {
    let scorers = spec.scorers.iter().map(|scorer| scorer.name.value.as_str());
    let parts = model.streams.keys().chain(model.prompts.keys()).chain(model.denoisers.keys()).map(String::as_str);
    let known: Vec<&str> = parts.chain(scorers).collect();
    let strangers: Vec<_> = spec.fresh.iter().filter(|name| !known.contains(&name.value.as_str())).collect();
    strangers
        .iter()
        .for_each(|name| unknown("stream, prompt, denoiser or scorer", name, known.iter().copied(), report));
    strangers.is_empty().then(|| spec.fresh.iter().map(|name| name.value.clone()).collect())
}

/// Parts that start from other files, by the names that a checkpoint uses.
fn taken(
    spec: &TrainingSpec,
    model: &ModelGraph,
    source: &Source,
    report: &mut Report,
) -> Option<IndexMap<String, WeightsPart>> {
    let of = |sort: &str, names: Vec<&String>| names.iter().map(|name| format!("{sort}.{name}")).collect::<Vec<_>>();
    let parts = [
        of("streams", model.streams.keys().collect()),
        of("prompts", model.prompts.keys().collect()),
        of("denoisers", model.denoisers.keys().collect()),
        of("scorers", spec.scorers.iter().map(|scorer| &scorer.name.value).collect()),
    ];
    let known = parts.concat();
    let made = spec.take.iter().map(|taken| {
        let name = &taken.part;
        if !known
            .iter()
            .any(|part| name.value.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
        {
            unknown("part of the model", name, known.iter().map(String::as_str), report);
            return None;
        }
        let part = taken.named.as_ref().unwrap_or(name).value.clone();
        Some((name.value.clone(), WeightsPart { from: source.beside(&taken.from.as_ref()?.value), part }))
    });
    made.collect::<Vec<_>>().into_iter().collect()
}

/// The sources that are generated.
pub(crate) fn generated(sources: &[SourceSpec]) -> IndexMap<String, Generated> {
    sources.iter().filter_map(|spec| Some((spec.name.value.clone(), spec.generated.clone()?))).collect()
}

/// The files of every source, in the data folder. A generated source becomes a file in the output folder.
pub(crate) fn files(sources: &[SourceSpec], source: &Source, data_root: Option<&str>) -> IndexMap<String, Vec<String>> {
    let joined = |path: &str| data_root.map_or_else(|| source.beside(path), |root| joined(root, path));
    let files = |spec: &SourceSpec| match &spec.generated {
        Some(_) => vec![format!("data/{}.parquet", spec.name.value)],
        None => spec.paths.iter().map(|path| joined(&path.value)).collect(),
    };
    sources.iter().map(|spec| (spec.name.value.clone(), files(spec))).collect()
}

fn data(spec: &TrainingSpec, model: &ModelGraph, report: &mut Report) -> IndexMap<String, Table> {
    let tables = spec.data.iter().map(|table| {
        let label = format!("table `{}`", table.name.value);
        (table.name.value.clone(), tables::resolve(table, &label, &spec.sources, model, report))
    });
    tables.collect()
}

fn scorers_of(
    spec: &TrainingSpec,
    model: &ModelGraph,
    catalog: &Catalog,
    report: &mut Report,
) -> Option<IndexMap<String, ScorerConfig>> {
    let mut all = Some(IndexMap::new());
    for scorer in &spec.scorers {
        let parts = scorer.stream.as_ref().zip(scorer.score.as_ref());
        let made = parts.and_then(|(stream, used)| scorers::resolve(stream, used, None, model, catalog, report));
        match (made, &mut all) {
            (Some(made), Some(all)) => {
                all.insert(scorer.name.value.clone(), made);
            }
            (Some(_), None) => {}
            (None, _) => all = None,
        }
    }
    all
}

fn lower_stage(stage: &StageSpec, spec: &TrainingSpec, model: &ModelGraph, report: &mut Report) -> Option<Stage> {
    let objective = stage.objective.as_ref();
    let trained = objective.and_then(|objective| stages::trained(stage, objective, spec, model, report));
    let table = stages::table(stage, spec, report);
    let objective = objective?;
    let trained = trained?;
    if let Some(table) = table {
        stages::check_data(stage, objective, &trained, table, spec, model, report);
    }
    let steps = match (&trained, stage.steps) {
        // All rows are read once.
        (Trained::Statistics, _) => Some(0),
        (_, Some(steps)) => Some(steps),
        (_, None) => missing_steps(stage, report),
    };
    let keep = steps.and_then(|steps| stages::kept(stage, steps, report));
    let micro_batch = stages::micro_batch(stage, report);
    Some(Stage {
        name: stage.name.as_ref()?.value.clone(),
        train: trained,
        objective: objective.clone(),
        data: table?.name.value.clone(),
        steps: steps?,
        keep: keep?,
        batch: stage.batch?,
        micro_batch: micro_batch?,
        optimizer: stage.optimizer.clone()?,
        ema: stage.ema?,
        weights: stage.weights.iter().map(|name| name.value.clone()).collect(),
    })
}

fn missing_steps(stage: &StageSpec, report: &mut Report) -> Option<u64> {
    if !stage.written.iter().any(|key| key.value == "steps") {
        let within = stage.name.as_ref().map_or("a stage".into(), |name| format!("stage `{}`", name.value));
        report.error(stage.span, Problem::MissingKey { key: "steps".into(), within });
    }
    None
}

/// Warns about tables and scorers that no stage uses.
fn unused(spec: &TrainingSpec, report: &mut Report) {
    let reads = |name: &str| spec.stages.iter().any(|stage| stage.data.as_ref().is_some_and(|data| data.value == name));
    let trains = |name: &str| spec.stages.iter().flat_map(|stage| &stage.train).any(|train| train.value == name);
    let mut say = |what: &str, name: &crate::source::SpannedString| {
        let what = what.to_string();
        let consequence = " by any stage".to_string();
        report.warning(name.span, Caution::Unused { what, name: name.value.clone(), consequence });
    };
    for table in spec.data.iter().filter(|table| !reads(&table.name.value)) {
        say("table", &table.name);
    }
    for scorer in spec.scorers.iter().filter(|scorer| !trains(&scorer.name.value)) {
        say("scorer", &scorer.name);
    }
}
