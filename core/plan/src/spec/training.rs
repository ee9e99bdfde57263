//! A training as written, and the parts it shares with evaluations: sources and tables.

use anyflow_config::{ObjectiveConfig, StageOptions, ValueForm};
use serde_json::Value as Json;

use crate::compile::FileKind;
use crate::error::Report;
use crate::source::{Span, SpannedString};
use crate::spec::model::used;
use crate::spec::parts::parts;
use crate::spec::{PartSpec, Use, check_name, check_unique, open};
use crate::surface::{self, Fields, Reader, Reference};
use crate::yaml::{Content, Entry, Node};

/// A training file.
#[derive(Debug)]
pub(crate) struct TrainingSpec {
    pub name: Option<SpannedString>,
    pub seed: Option<u64>,
    pub start: Option<SpannedString>,
    pub fresh: Vec<SpannedString>,
    pub take: Vec<PartSpec>,
    pub sources: Vec<SourceSpec>,
    pub data: Vec<TableSpec>,
    pub scorers: Vec<ScorerSpec>,
    pub stages: Vec<StageSpec>,
}

/// A dataset: one or several files, or a generated one.
#[derive(Debug)]
pub(crate) struct SourceSpec {
    pub name: SpannedString,
    pub paths: Vec<SpannedString>,
    pub generated: Option<GeneratedSpec>,
}

/// A source that is generated.
#[derive(Debug)]
pub(crate) struct GeneratedSpec {
    pub generate: Option<SpannedString>,
    pub rows: Option<u64>,
    pub seed: Option<u64>,
    /// The keys of its generator.
    pub parameters: Vec<Entry>,
}

/// Rows made of sources.
#[derive(Debug)]
pub(crate) struct TableSpec {
    pub name: SpannedString,
    pub join: Option<SpannedString>,
    /// Stream or prompt -> `source.column`.
    pub columns: Vec<(SpannedString, SpannedString)>,
    pub class: Option<SpannedString>,
    pub classes: Vec<SpannedString>,
}

/// A scorer.
#[derive(Debug)]
pub(crate) struct ScorerSpec {
    pub name: SpannedString,
    pub stream: Option<SpannedString>,
    pub score: Option<Use>,
}

/// A stage. Values that are not written or could not be read are `None`.
#[derive(Debug)]
pub(crate) struct StageSpec {
    pub name: Option<SpannedString>,
    pub train: Vec<SpannedString>,
    pub objective: Option<ObjectiveConfig>,
    pub data: Option<SpannedString>,
    pub options: Option<StageOptions>,
    /// What the options name.
    pub references: Vec<Reference>,
    pub written: Vec<WrittenKey>,
    pub span: Span,
}

/// A written key.
#[derive(Debug)]
pub(crate) struct WrittenKey {
    pub key: SpannedString,
    /// The positions of the items of its list.
    pub items: Vec<Span>,
}

impl StageSpec {
    /// The name in messages.
    pub fn label(&self) -> String {
        self.name.as_ref().map_or("a stage".into(), |name| format!("stage `{}`", name.value))
    }

    /// A key, if it is written.
    pub fn key(&self, name: &str) -> Option<&WrittenKey> {
        self.written.iter().find(|written| written.key.value == name)
    }
}

/// Reads a training.
pub(crate) fn training(root: &Node, report: &mut Report) -> Option<TrainingSpec> {
    let fields = open(root, FileKind::Training, &surface::TRAINING, report)?;
    let data = fields.names("data", report).iter().map(|entry| table(entry, report)).collect();
    let scorers = fields.names("scorers", report).iter().map(|entry| scorer(entry, report)).collect();
    let stages = stages(&fields, report);
    check_unique("stage", stages.iter().filter_map(|stage| stage.name.as_ref()), report);
    Some(TrainingSpec {
        name: fields.text("name", report),
        seed: fields.integer("seed", report),
        start: fields.text("start", report),
        fresh: fields.texts("fresh", report),
        take: parts(&fields, "take", report),
        sources: sources(&fields, report),
        data,
        scorers,
        stages,
    })
}

/// The sources of a training or evaluation.
pub(crate) fn sources(fields: &Fields, report: &mut Report) -> Vec<SourceSpec> {
    fields.names("sources", report).iter().map(|entry| source(entry, report)).collect()
}

fn source(entry: &Entry, report: &mut Report) -> SourceSpec {
    let name = entry.key.clone();
    check_name(&name, report);
    let what = format!("source `{}`", name.value);
    let items: &[Node] = match &entry.node.content {
        Content::List(items) => items,
        Content::Mapping(_) => {
            return SourceSpec { generated: generated(entry, what, report), paths: Vec::new(), name };
        }
        _ => std::slice::from_ref(&entry.node),
    };
    let paths = items.iter().filter_map(|item| surface::text(item, &what, report)).collect();
    SourceSpec { name, paths, generated: None }
}

fn generated(entry: &Entry, within: String, report: &mut Report) -> Option<GeneratedSpec> {
    let fields = Fields::open_described(&entry.node, &surface::GENERATED, within, entry.key.span, report)?;
    Some(GeneratedSpec {
        generate: fields.text("generate", report),
        rows: fields.integer("rows", report),
        seed: fields.integer("seed", report),
        parameters: fields.others().cloned().collect(),
    })
}

/// A table.
pub(crate) fn table(entry: &Entry, report: &mut Report) -> TableSpec {
    let name = entry.key.clone();
    let within = format!("table `{}`", name.value);
    let mut spec = TableSpec { name, join: None, columns: Vec::new(), class: None, classes: Vec::new() };
    let Some(fields) = Fields::open(&entry.node, &surface::TABLE, within, spec.name.span, report) else {
        return spec;
    };
    spec.join = fields.text("join", report);
    spec.class = fields.text("class", report);
    spec.classes = fields.texts("classes", report);
    check_unique("class", &spec.classes, report);
    for column in fields.names("columns", report) {
        let what = format!("column `{}` of {}", column.key.value, fields.within);
        if let Some(from) = surface::text(&column.node, &what, report) {
            spec.columns.push((column.key.clone(), from));
        }
    }
    spec
}

fn scorer(entry: &Entry, report: &mut Report) -> ScorerSpec {
    let name = entry.key.clone();
    check_name(&name, report);
    let within = format!("scorer `{}`", name.value);
    let mut spec = ScorerSpec { name, stream: None, score: None };
    if let Some(fields) = Fields::open(&entry.node, &surface::SCORER, within, spec.name.span, report) {
        spec.stream = fields.text("stream", report);
        spec.score = used(&fields, "score", report);
    }
    spec
}

fn stages(fields: &Fields, report: &mut Report) -> Vec<StageSpec> {
    let Some(entry) = fields.entry("stages") else { return Vec::new() };
    match &entry.node.content {
        Content::List(items) => items.iter().filter_map(|item| stage(item, report)).collect(),
        _ => {
            ValueForm::List(&ValueForm::Any).wrong(&entry.node, "`stages`", report);
            Vec::new()
        }
    }
}

fn stage(item: &Node, report: &mut Report) -> Option<StageSpec> {
    let Content::Mapping(entries) = &item.content else {
        ValueForm::Mapping(&surface::STAGE).wrong(item, "a stage", report);
        return None;
    };
    let name = entries.iter().find(|entry| entry.key.value == "name").map(|entry| entry.node.json());
    let within = name.as_ref().and_then(Json::as_str).map_or("a stage".into(), |name| format!("stage `{name}`"));
    let span = entries.first().map_or(item.span, |entry| entry.key.span);
    let fields = Fields::open(item, &surface::STAGE, within, span, report)?;
    let name = fields.text("name", report).inspect(|name| check_name(name, report));
    Some(StageSpec {
        train: fields.texts("train", report),
        objective: fields.value("objective", report),
        data: fields.text("data", report),
        options: fields.part(report),
        references: fields.references(),
        written: entries.iter().map(written).collect(),
        span: name.as_ref().map_or(span, |name| name.span),
        name,
    })
}

fn written(entry: &Entry) -> WrittenKey {
    let items = match &entry.node.content {
        Content::List(items) => items.iter().map(|item| item.span).collect(),
        _ => Vec::new(),
    };
    WrittenKey { key: entry.key.clone(), items }
}
