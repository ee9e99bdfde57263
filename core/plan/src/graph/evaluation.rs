//! An evaluation with its names resolved.

use indexmap::IndexMap;

use crate::catalog::Catalog;
use crate::error::Report;
use crate::graph::references::check_references;
use crate::graph::tasks::resolve_tasks;
use crate::graph::variants::resolve_variants;
use crate::graph::{Asked, ModelGraph, resolve_column, resolve_generated, resolve_scorer, resolve_table};
use crate::plan::{ColumnRef, Generated, ScorerConfig, Table, Task, Variant};
use crate::problem::problems;
use crate::source::{Source, Span};
use crate::spec::{EvaluationSpec, JudgeSpec, TaskSpec, VariantSpec, unknown};

problems! {
    /// What can be wrong with `reference`.
    pub(crate) enum ReferenceProblem {
        /// `reference` names rows to compare generated ones with, for a stream that no judge scores.
        /// Example: `reference: {x: test.x}` without `x` under `judges`.
        /// Cure: Add a judge for the stream, or remove the stream from `reference`.
        #[error("`{stream}` has no effect: stream `{stream}` has no judge")]
        ReferenceWithoutJudge { stream: String },
    }
}

/// An evaluation with its names resolved. Wrong parts are `None`, which was reported.
pub(crate) struct Evaluation<'s> {
    pub spec: &'s EvaluationSpec,
    pub model: &'s ModelGraph<'s>,
    /// Its model, then those of variants.
    pub models: &'s [ModelGraph<'s>],
    pub generated: IndexMap<String, Generated>,
    pub data: Option<Table>,
    pub reference: IndexMap<String, ColumnRef>,
    pub judges: Vec<(&'s JudgeSpec, Option<ScorerConfig>)>,
    pub asked: Option<Asked>,
    pub variants: Option<IndexMap<String, Variant>>,
}

/// Resolves an evaluation; wrong parts are reported and left out. `None` without a model.
pub(crate) fn resolve_evaluation<'s>(
    spec: &'s EvaluationSpec,
    models: &'s [ModelGraph<'s>],
    source: &Source,
    catalog: &Catalog,
    report: &mut Report,
) -> Option<Evaluation<'s>> {
    let model = models.first()?;
    let generated = resolve_generated(&spec.sources, catalog, report);
    let data = spec.data.as_ref().map(|table| resolve_table(table, "`data`", &spec.sources, model, report));
    let reference = reference(spec, model, report);
    let judges = spec.judges.iter().map(|judge| {
        let weights = judge.weights.as_ref().map(|path| source.beside(&path.value));
        let scorer = judge.score.as_ref();
        let scorer = scorer.and_then(|used| resolve_scorer(&judge.stream, used, weights, model, catalog, report));
        (judge, scorer)
    });
    let judges = judges.collect();
    let asked = resolve_tasks(spec, model, report);
    check_references(&spec.references, model, report);
    let variants = asked.as_ref().and_then(|asked| resolve_variants(spec, models, source, asked, catalog, report));
    Some(Evaluation { spec, model, models, generated, data, reference, judges, asked, variants })
}

/// The columns of `reference`, one for each stream with a judge.
fn reference(spec: &EvaluationSpec, model: &ModelGraph, report: &mut Report) -> IndexMap<String, ColumnRef> {
    let mut columns = IndexMap::new();
    for (stream, written) in &spec.reference {
        if !model.streams.contains_key(&stream.value) {
            unknown("stream", stream, model.streams.keys().map(String::as_str), report);
        } else if !spec.judges.iter().any(|judge| judge.stream.value == stream.value) {
            report.warning(stream.span, ReferenceProblem::ReferenceWithoutJudge { stream: stream.value.clone() });
        } else if let Some(column) = resolve_column(written, &spec.sources, report) {
            columns.insert(stream.value.clone(), column);
        }
    }
    columns
}

impl Evaluation<'_> {
    /// The tasks and conflicts that could be resolved, as written and resolved.
    pub fn tasks(&self) -> impl Iterator<Item = (&TaskSpec, &Task)> {
        self.asked.iter().flat_map(move |asked| {
            let tasks = self.spec.tasks.iter().filter_map(|spec| Some((spec, asked.tasks.get(&spec.name.value)?)));
            let conflicts =
                self.spec.conflicts.iter().filter_map(|spec| Some((spec, asked.conflicts.get(&spec.name.value)?)));
            tasks.chain(conflicts)
        })
    }

    /// The model of a variant.
    pub fn model_of(&self, variant: &Variant) -> &ModelGraph<'_> {
        let named = variant.model.as_ref().and_then(|own| self.models.iter().find(|model| model.path == own.source));
        named.unwrap_or(self.model)
    }

    /// The position of a variant; the start of the file for an evaluation without variants.
    pub fn place_of(&self, variant: &str) -> Span {
        let written = self.spec.variants.iter().find(|written| written.name.value == variant);
        written.map_or(self.spec.span, |written| written.name.span)
    }

    /// The variants that are written and could be resolved.
    pub fn written_variants(&self) -> impl Iterator<Item = (&VariantSpec, &Variant)> {
        let resolved = |spec: &VariantSpec| self.variants.as_ref()?.get(&spec.name.value);
        self.spec.variants.iter().filter_map(move |spec| Some((spec, resolved(spec)?)))
    }
}
