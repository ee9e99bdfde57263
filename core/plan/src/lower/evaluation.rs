//! The plan of an evaluation.

use indexmap::IndexMap;

use crate::check::late::{self, Late};
use crate::check::{classes, similarity, tables, tasks};
use crate::compile::Catalog;
use crate::error::Report;
use crate::graph::ModelGraph;
use crate::lower::{scorers, training, variants};
use crate::plan::{ColumnRef, EvalPlan, PLAN_FORMAT, ScorerConfig, Table, Task, Variant};
use crate::problem::{Caution, Problem};
use crate::source::Source;
use crate::spec::{EvaluationSpec, JudgeSpec, unknown};

/// Checks an evaluation against its model and makes its plan.
pub(crate) fn lower(
    spec: &EvaluationSpec,
    models: &[ModelGraph],
    source: &Source,
    catalog: &Catalog,
    data_root: Option<&str>,
    report: &mut Report,
) -> Option<EvalPlan> {
    let model = models.first()?;
    let data = data(spec, model, report);
    let reference = reference(spec, model, report);
    let judges = judges(spec, model, source, catalog, report);
    let asked = tasks::resolve(spec, model, report);
    let similarity = similarity::resolve(spec, model, report);
    tables::check_sources(&spec.sources, spec.data.iter(), &spec.reference, report);
    unused(spec, report);
    let asked = asked?;
    let variants = variants::resolve(spec, models, source, &asked, catalog, report);
    let tasks::Asked { tasks, conflicts, .. } = asked;
    initial_values(spec, variants.as_ref()?, &tasks, model, report);
    Some(EvalPlan {
        format: PLAN_FORMAT,
        name: spec.name.as_ref()?.value.clone(),
        source: source.path.clone(),
        model: model.plan()?,
        judges: judges?,
        sources: training::files(&spec.sources, source, data_root),
        generated: training::generated(&spec.sources),
        data: data?,
        reference,
        variants: variants?,
        rows: spec.rows?,
        seeds: spec.seeds.clone(),
        tasks,
        similarity,
        independent: spec.independent,
        conflicts,
    })
}

/// Checks that the tasks of every variant whose sampler starts late have initial values.
fn initial_values(
    spec: &EvaluationSpec,
    variants: &IndexMap<String, Variant>,
    tasks: &IndexMap<String, Task>,
    model: &ModelGraph,
    report: &mut Report,
) {
    for (name, variant) in variants {
        let written = spec.variants.iter().find(|written| written.name.value == *name);
        let at = written.map_or(spec.span, |written| written.name.span);
        for (task_name, task) in tasks {
            let owner = format!("task `{task_name}`");
            let denoiser = variant.denoiser.as_str();
            Late { sampler: &variant.sampler, denoiser, model, owner, at }.check(&task.streams, report);
        }
    }
    for task in &spec.tasks {
        late::check_needed(&task.roles, variants.values().map(|variant| &variant.sampler), report);
    }
}

fn data(spec: &EvaluationSpec, model: &ModelGraph, report: &mut Report) -> Option<Table> {
    let table = spec.data.as_ref()?;
    let generates = spec.subsets.is_some() || spec.tasks.iter().any(|task| task.score.is_none());
    if table.class.is_none() && generates {
        report.error(table.name.span, Problem::MissingKey { key: "class".into(), within: "`data`".into() });
    }
    Some(tables::resolve(table, "`data`", &spec.sources, model, report))
}

/// The columns of `reference`, one for each stream with a judge.
fn reference(spec: &EvaluationSpec, model: &ModelGraph, report: &mut Report) -> IndexMap<String, ColumnRef> {
    let mut columns = IndexMap::new();
    for (stream, written) in &spec.reference {
        if !model.streams.contains_key(&stream.value) {
            unknown("stream", stream, model.streams.keys().map(String::as_str), report);
        } else if !spec.judges.iter().any(|judge| judge.stream.value == stream.value) {
            let reason = format!("stream `{}` has no judge", stream.value);
            report.warning(stream.span, Caution::NoEffect { key: stream.value.clone(), reason });
        } else if let Some(column) = tables::column(written, &spec.sources, report) {
            columns.insert(stream.value.clone(), column);
        }
    }
    columns
}

fn judges(
    spec: &EvaluationSpec,
    model: &ModelGraph,
    source: &Source,
    catalog: &Catalog,
    report: &mut Report,
) -> Option<IndexMap<String, ScorerConfig>> {
    let made = spec.judges.iter().map(|judge| {
        let scorer = resolve_judge(judge, model, source, catalog, report)?;
        Some((judge.stream.value.clone(), scorer))
    });
    let made: Vec<Option<(String, ScorerConfig)>> = made.collect();
    let known: IndexMap<String, ScorerConfig> = made.iter().flatten().cloned().collect();
    classes::check(&known, &spec.judges, report);
    (known.len() == made.len()).then_some(known)
}

fn resolve_judge(
    judge: &JudgeSpec,
    model: &ModelGraph,
    source: &Source,
    catalog: &Catalog,
    report: &mut Report,
) -> Option<ScorerConfig> {
    let weights = judge.weights.as_ref().map(|path| source.beside(&path.value));
    let scorer = scorers::resolve(&judge.stream, judge.score.as_ref()?, weights, model, catalog, report)?;
    let within = format!("judge `{}`", judge.stream.value);
    match (&scorer.module, &judge.weights) {
        (Some(_), None) => report.error(judge.stream.span, Problem::MissingKey { key: "weights".into(), within }),
        (None, Some(path)) => {
            let reason = "the judge is a codec, which has no weights".into();
            report.warning(path.span, Caution::NoEffect { key: "weights".into(), reason });
        }
        _ => {}
    }
    Some(scorer)
}

/// Warns about judges that no task needs.
fn unused(spec: &EvaluationSpec, report: &mut Report) {
    for judge in &spec.judges {
        let needed = spec.subsets.is_some()
            || spec
                .tasks
                .iter()
                .chain(&spec.conflicts)
                .filter(|task| task.score.is_none())
                .any(|task| task.roles.generate.iter().any(|name| name.value == judge.stream.value));
        if !needed {
            let what = "judge".into();
            let name = judge.stream.value.clone();
            report.warning(judge.stream.span, Caution::Unused { what, name, consequence: " by any task".into() });
        }
    }
}
