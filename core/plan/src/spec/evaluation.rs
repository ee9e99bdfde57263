//! An evaluation as written.

use anyflow_config::{EvaluationOptions, Given, ScoreTaskOptions, TaskOptions};
use serde_json::Value as Json;

use crate::compile::FileKind;
use crate::error::Report;
use crate::source::{Span, SpannedString};
use crate::spec::model::{component_use, used};
use crate::spec::{
    GuidanceSpec, RolesSpec, SamplerSpec, ScoringSpec, SourceSpec, TableSpec, Use, check_file_name, check_name,
    guidance, open, roles, scoring, scoring_roles, sources, table,
};
use crate::surface::{self, Fields, Reference};
use crate::yaml::{Content, Entry, Node};

/// An evaluation file.
#[derive(Debug)]
pub(crate) struct EvaluationSpec {
    pub name: Option<SpannedString>,
    pub sources: Vec<SourceSpec>,
    pub data: Option<TableSpec>,
    /// Stream -> `source.column`.
    pub reference: Vec<(SpannedString, SpannedString)>,
    pub judges: Vec<JudgeSpec>,
    pub denoiser: Option<SpannedString>,
    pub sampler: SamplerSpec,
    pub guidance: Option<GuidanceSpec>,
    pub given: Option<Given>,
    pub options: Option<EvaluationOptions>,
    pub tasks: Vec<TaskSpec>,
    /// Position of `subsets`, if it is true.
    pub subsets: Option<Span>,
    /// What the options name.
    pub references: Vec<Reference>,
    /// Tasks with the two prompts as their conditions.
    pub conflicts: Vec<TaskSpec>,
    pub variants: Vec<VariantSpec>,
    /// The start of the file.
    pub span: Span,
}

/// A variant.
#[derive(Debug)]
pub(crate) struct VariantSpec {
    pub name: SpannedString,
    pub model: Option<SpannedString>,
    pub weights: Vec<SpannedString>,
    /// Stream -> codec that reads its cells.
    pub codecs: Vec<(SpannedString, Use)>,
    pub denoiser: Option<SpannedString>,
    pub sampler: SamplerSpec,
    pub given: Option<Given>,
    pub guidance: Option<GuidanceSpec>,
}

/// A judge of a stream.
#[derive(Debug)]
pub(crate) struct JudgeSpec {
    pub stream: SpannedString,
    pub score: Option<Use>,
    pub weights: Option<SpannedString>,
}

/// A task.
#[derive(Debug)]
pub(crate) struct TaskSpec {
    pub name: SpannedString,
    pub roles: RolesSpec,
    pub options: TaskOptions,
    /// What the options name.
    pub references: Vec<Reference>,
    /// Classification instead of generation.
    pub score: Option<ScoringSpec>,
}

/// Reads an evaluation.
pub(crate) fn evaluation(root: &Node, report: &mut Report) -> Option<EvaluationSpec> {
    let fields = open(root, FileKind::Evaluation, &surface::EVALUATION, report)?;
    let judges = fields.names("judges", report).iter().map(|entry| judge(entry, report)).collect();
    let tasks = fields.names("tasks", report).iter().filter_map(|entry| task(entry, report)).collect();
    let variants = fields.names("variants", report).iter().map(|entry| variant(entry, report)).collect();
    let conflicts = fields.names("conflicts", report).iter().filter_map(|entry| conflict(entry, report)).collect();
    let subsets = fields.json("subsets", report).filter(|json| json.value == Json::Bool(true)).map(|json| json.span);
    Some(EvaluationSpec {
        name: fields.text("name", report).inspect(|name| check_file_name(name, report)),
        sources: sources(&fields, report),
        data: fields.entry("data").map(|entry| table(entry, report)),
        reference: fields.pairs("reference", report),
        judges,
        denoiser: fields.text("denoiser", report),
        sampler: SamplerSpec::read(&fields),
        guidance: guidance(&fields, report),
        given: fields.value("given", report),
        options: fields.part(report),
        tasks,
        subsets,
        references: fields.references(),
        conflicts,
        variants,
        span: root.span,
    })
}

fn judge(entry: &Entry, report: &mut Report) -> JudgeSpec {
    let within = format!("judge `{}`", entry.key.value);
    let mut spec = JudgeSpec { stream: entry.key.clone(), score: None, weights: None };
    if let Some(fields) = Fields::open(&entry.node, &surface::JUDGE, within, entry.key.span, report) {
        spec.score = used(&fields, "score", report);
        spec.weights = fields.text("weights", report);
    }
    spec
}

fn variant(entry: &Entry, report: &mut Report) -> VariantSpec {
    let name = entry.key.clone();
    check_name(&name, report);
    let within = format!("variant `{}`", name.value);
    let mut spec = VariantSpec {
        name,
        model: None,
        weights: Vec::new(),
        codecs: Vec::new(),
        denoiser: None,
        sampler: SamplerSpec::default(),
        given: None,
        guidance: None,
    };
    if let Some(fields) = Fields::open(&entry.node, &surface::VARIANT, within, entry.key.span, report) {
        spec.model = fields.text("model", report);
        spec.weights = fields.texts("weights", report);
        for entry in fields.names("codecs", report) {
            let what = format!("the codec of stream `{}`", entry.key.value);
            spec.codecs.extend(component_use(entry, &what, report).map(|used| (entry.key.clone(), used)));
        }
        spec.denoiser = fields.text("denoiser", report);
        spec.sampler = SamplerSpec::read(&fields);
        spec.given = fields.value("given", report);
        spec.guidance = guidance(&fields, report);
    }
    spec
}

fn conflict(entry: &Entry, report: &mut Report) -> Option<TaskSpec> {
    check_name(&entry.key, report);
    let within = format!("conflict `{}`", entry.key.value);
    let fields = Fields::open(&entry.node, &surface::CONFLICT, within, entry.key.span, report)?;
    let condition = fields.texts("between", report).into_iter().map(|prompt| (prompt, 1.0)).collect();
    let roles = RolesSpec { condition, ..roles(&fields, "generate", report) };
    Some(TaskSpec {
        name: entry.key.clone(),
        roles,
        options: TaskOptions::default(),
        references: Vec::new(),
        score: None,
    })
}

fn task(entry: &Entry, report: &mut Report) -> Option<TaskSpec> {
    check_name(&entry.key, report);
    let within = format!("task `{}`", entry.key.value);
    let scores = matches!(&entry.node.content, Content::Mapping(keys) if keys.iter().any(|e| e.key.value == "score"));
    let mapping = if scores { &surface::SCORING } else { &surface::TASK };
    let fields = Fields::open(&entry.node, mapping, within, entry.key.span, report)?;
    let score = if scores { Some(scoring(&fields, report)?) } else { None };
    let roles = match &score {
        Some(score) => scoring_roles(&fields, score, report),
        None => roles(&fields, "generate", report),
    };
    let options = match &score {
        Some(_) => fields.part::<ScoreTaskOptions>(report).map(TaskOptions::from),
        None => fields.part(report),
    };
    let references = fields.references();
    Some(TaskSpec { name: entry.key.clone(), roles, options: options.unwrap_or_default(), references, score })
}
