//! A pipeline as written.

mod alone;
mod subgraph;

use std::cell::Cell;

use anyflow_config::{Dtype, ValueForm};
use serde_json::Value as Json;

use crate::compile::FileKind;
use crate::descriptor::Role;
use crate::error::Report;
use crate::include;
use crate::problem::{Hint, Problem, problems};
use crate::source::{Source, Span, Spanned, SpannedString};
use crate::spec::model::used;
use crate::spec::scoring::classes;
use crate::spec::{
    ClassesSpec, RolesSpec, SamplerSpec, ScoringSpec, Use, check_name, check_unique, open, roles, scoring,
    scoring_roles,
};
use crate::surface::{self, Fields, Reader};
use crate::yaml::{Content, Entry, Node};

pub(crate) use alone::LoneNode;
use subgraph::{Files, Parts};
pub(crate) use subgraph::{INNER, SubgraphProblem};

problems! {
    /// What can be wrong with the action of a node.
    pub(crate) enum ActionProblem {
        /// A node does not say what it does.
        /// Example: `sound: {from: joint.left}`.
        /// Cure: Add one of the actions that the message lists, for example `decode: PLUGIN/module`.
        #[error("node `{node}` has no action; add one of {}", .actions.join(", "))]
        NoAction { node: String, actions: Vec<&'static str> },
        /// A node `score` with a scorer of the model has neither `against` nor `classes`, or both.
        /// Example: `fit: {score: alike, from: caption}`.
        /// Cure: Write `against` to compare with the cells of each row, or `classes` to find the nearest class.
        #[error("node `{node}` needs `against` or `classes`, and not both")]
        OneComparison { node: String },
    }
}

problems! {
    /// What can be wrong with the column of an input.
    pub(crate) enum ColumnProblem {
        /// An input has a column and a value.
        /// Example: `inputs: {words: {modality: text, column: caption, value: none}}`.
        /// Cure: Remove `column`, or remove `value`.
        #[error("input `{input}` has a `column` and a `value`; remove one of them")]
        ColumnAndValue { input: String },
    }
}

/// A pipeline file.
#[derive(Debug)]
pub(crate) struct PipelineSpec {
    pub name: Option<SpannedString>,
    pub inputs: Vec<InputSpec>,
    pub nodes: Vec<NodeSpec>,
    pub outputs: Vec<OutputSpec>,
}

/// A column to write.
#[derive(Debug)]
pub(crate) struct OutputSpec {
    pub column: SpannedString,
    /// Node, port or input.
    pub from: SpannedString,
    /// The number type of its lists, if it is written.
    pub dtype: Option<Dtype>,
}

/// An input.
#[derive(Debug)]
pub(crate) struct InputSpec {
    pub name: SpannedString,
    pub modality: Option<SpannedString>,
    /// The input's own name and position if no column is written.
    pub column: SpannedString,
    /// The cell of every row, in place of a column.
    pub value: Option<Spanned<Json>>,
}

/// A node. Its action is `None` if it could not be read, which was reported, or if other nodes stand for it, those of the
/// pipeline that it uses.
#[derive(Debug)]
pub(crate) struct NodeSpec {
    pub name: SpannedString,
    pub action: Option<Action>,
}

impl NodeSpec {
    /// True for a node of a pipeline that this one uses.
    pub fn is_inner(&self) -> bool {
        self.name.value.contains(INNER)
    }

    /// All references to inputs and other nodes.
    pub fn references(&mut self) -> Vec<&mut SpannedString> {
        self.action.as_mut().map(Action::references).unwrap_or_default()
    }
}

/// The action of a node.
#[derive(Debug)]
pub(crate) enum Action {
    Code(CodeSpec),
    Diffuse(DiffuseSpec),
    Score(DiffuseSpec, ScoringSpec),
    Judge(ScorerNodeSpec),
    Compare(PairNodeSpec),
}

impl Action {
    /// All references to inputs and other nodes.
    fn references(&mut self) -> Vec<&mut SpannedString> {
        match self {
            Action::Code(code) => code.from.iter_mut().chain(&mut code.hide).collect(),
            Action::Diffuse(spec) | Action::Score(spec, _) => spec.roles.references(),
            Action::Judge(spec) => spec.from.iter_mut().collect(),
            Action::Compare(spec) => spec.from.iter_mut().chain(&mut spec.against).collect(),
        }
    }
}

/// Encoding, decoding or embedding.
#[derive(Debug)]
pub(crate) struct CodeSpec {
    pub role: Role,
    pub component: SpannedString,
    pub from: Option<SpannedString>,
    /// Stream or prompt, if several use the component.
    pub stream: Option<SpannedString>,
    /// The mask of what encoding hides.
    pub hide: Option<SpannedString>,
}

/// Generating or classifying.
#[derive(Debug)]
pub(crate) struct DiffuseSpec {
    pub roles: RolesSpec,
    pub denoiser: Option<SpannedString>,
    pub sampler: SamplerSpec,
    pub seed: Option<u64>,
    /// Position of `diffuse` or `score`.
    pub span: Span,
}

/// Classification by a trained scorer.
#[derive(Debug)]
pub(crate) struct ScorerNodeSpec {
    /// The node in messages.
    pub within: String,
    pub score: Use,
    /// Joined to the folder of the file.
    pub weights: Option<SpannedString>,
    pub from: Option<SpannedString>,
    pub stream: Option<SpannedString>,
    pub classes: Vec<SpannedString>,
}

/// Comparison of two prompts.
#[derive(Debug)]
pub(crate) struct PairNodeSpec {
    pub score: SpannedString,
    pub from: Option<SpannedString>,
    pub against: Option<SpannedString>,
    pub classes: ClassesSpec,
}

/// Reads a pipeline with the pipelines that it uses. `files` are those of the compilation.
pub(crate) fn pipeline(root: &Node, files: &[&Source], report: &mut Report) -> Option<PipelineSpec> {
    pipeline_among(root, Files::new(files, &Cell::new(0)), report)
}

/// Reads a pipeline, which may be a part of another.
fn pipeline_among(root: &Node, files: Files<'_>, report: &mut Report) -> Option<PipelineSpec> {
    let fields = open(root, FileKind::Pipeline, &surface::PIPELINE, report)?;
    let inputs: Vec<_> = fields.names("inputs", report).iter().map(|entry| input(entry, report)).collect();
    let written = fields.names("nodes", report);
    let mut parts = Parts::default();
    let mut nodes: Vec<NodeSpec> = Vec::with_capacity(written.len());
    for entry in written {
        match include::entry(&entry.node, "use") {
            Some(_) => {
                check_name(&entry.key, report);
                nodes.extend(parts.add(entry, files, report));
            }
            None => nodes.push(node(entry, files, report)),
        }
    }
    let mut outputs: Vec<_> =
        fields.names("outputs", report).iter().filter_map(|entry| output(entry, &fields, report)).collect();
    for node in &mut nodes {
        let follow = if node.is_inner() { Parts::follow } else { Parts::follow_own };
        node.references().into_iter().for_each(|reference| follow(&parts, reference, report));
    }
    outputs.iter_mut().for_each(|output| parts.follow_own(&mut output.from, report));
    check_unique("name", inputs.iter().map(|input| &input.name).chain(written.iter().map(|entry| &entry.key)), report);
    if outputs.is_empty() && fields.entry("outputs").is_some() {
        let at = fields.entry("outputs").map_or(root.span, |entry| entry.key.span);
        let what = "`outputs`".into();
        report.error(at, Problem::WrongCount { what, wanted: "at least one column".into(), found: 0 });
    }
    Some(PipelineSpec { name: fields.text("name", report), inputs, nodes, outputs })
}

/// A column with what it reads, or with a mapping of that and the number type.
fn output(entry: &Entry, fields: &Fields, report: &mut Report) -> Option<OutputSpec> {
    let column = entry.key.clone();
    let what = format!("`{}` in `outputs` of {}", column.value, fields.within);
    if !matches!(entry.node.content, Content::Mapping(_)) {
        let from = surface::text(&entry.node, &what, report)?;
        return Some(OutputSpec { column, from, dtype: None });
    }
    let inner = Fields::open(&entry.node, &surface::OUTPUT, what, column.span, report)?;
    let dtype = inner.value("dtype", report);
    Some(OutputSpec { column, from: inner.text("from", report)?, dtype })
}

fn input(entry: &Entry, report: &mut Report) -> InputSpec {
    let name = entry.key.clone();
    check_name(&name, report);
    let within = format!("input `{}`", name.value);
    let mut spec = InputSpec { column: name.clone(), name, modality: None, value: None };
    let Some(fields) = Fields::open(&entry.node, &surface::INPUT, within, spec.name.span, report) else {
        return spec;
    };
    spec.modality = fields.text("modality", report);
    spec.value = fields.json("value", report);
    if let Some(column) = fields.text("column", report) {
        if spec.value.is_some() {
            report.error(column.span, ColumnProblem::ColumnAndValue { input: spec.name.value.clone() });
        }
        spec.column = column;
    }
    spec
}

const ACTIONS: [&str; 6] = ["encode", "decode", "embed", "diffuse", "score", "use"];

fn node(entry: &Entry, files: Files<'_>, report: &mut Report) -> NodeSpec {
    let name = entry.key.clone();
    check_name(&name, report);
    let action = action(entry, files, report);
    NodeSpec { name, action }
}

fn action(entry: &Entry, files: Files<'_>, report: &mut Report) -> Option<Action> {
    let within = format!("node `{}`", entry.key.value);
    let Content::Mapping(entries) = &entry.node.content else {
        ValueForm::Names(&ValueForm::Any).wrong(&entry.node, &within, report);
        return None;
    };
    let words: Vec<&str> = entries.iter().map(|inner| inner.key.value.as_str()).collect();
    match ACTIONS.iter().find(|word| words.contains(word)) {
        Some(&"encode") => code(entry, Role::Encode, within, report),
        Some(&"decode") => code(entry, Role::Decode, within, report),
        Some(&"embed") => code(entry, Role::Embed, within, report),
        // Only trained scorers and those of the model read cells. A trained one is a component, `plugin/module`.
        Some(&"score") if words.contains(&"from") && names_a_scorer(entries) => compare(entry, within, report),
        Some(&"score") if words.contains(&"from") => judge(entry, within, files, report),
        Some(&"score") => score(entry, within, report),
        Some(_) => diffuse(entry, within, report),
        None => {
            no_action(entry, entries, within, report);
            None
        }
    }
}

/// True if `score` is a name, and not a component.
fn names_a_scorer(entries: &[Entry]) -> bool {
    let score = entries.iter().find(|entry| entry.key.value == "score").map(|entry| &entry.node.content);
    matches!(score, Some(Content::String(name)) if !name.contains('/'))
}

/// Reports a node without an action; a misspelled action is named.
fn no_action(entry: &Entry, entries: &[Entry], within: String, report: &mut Report) {
    for inner in entries {
        let hint = Hint::among(&inner.key.value, ACTIONS);
        if hint.suggestion.is_some() {
            return report.error(inner.key.span, Problem::UnknownKey { key: inner.key.value.clone(), within, hint });
        }
    }
    let node = entry.key.value.clone();
    report.error(entry.key.span, ActionProblem::NoAction { node, actions: ACTIONS.to_vec() });
}

fn code(entry: &Entry, role: Role, within: String, report: &mut Report) -> Option<Action> {
    let (mapping, key, part) = match role {
        Role::Encode => (&surface::ENCODE, "encode", "stream"),
        Role::Embed => (&surface::EMBED, "embed", "prompt"),
        _ => (&surface::DECODE, "decode", "stream"),
    };
    let fields = Fields::open(&entry.node, mapping, within, entry.key.span, report)?;
    let from = fields.text("from", report);
    let stream = fields.text(part, report);
    let hide = fields.text("hide", report);
    let component = fields.text(key, report)?;
    Some(Action::Code(CodeSpec { role, component, from, stream, hide }))
}

fn diffuse(entry: &Entry, within: String, report: &mut Report) -> Option<Action> {
    let fields = Fields::open(&entry.node, &surface::DIFFUSE, within, entry.key.span, report)?;
    let generate = fields.entry("diffuse")?;
    let readable = matches!(generate.node.content, Content::List(_));
    let spec = diffusion(&fields, roles(&fields, "diffuse", report), generate.key.span, report);
    readable.then_some(Action::Diffuse(spec))
}

fn score(entry: &Entry, within: String, report: &mut Report) -> Option<Action> {
    let fields = Fields::open(&entry.node, &surface::SCORE, within, entry.key.span, report)?;
    let scoring = scoring(&fields, report)?;
    let at = scoring.stream.span;
    Some(Action::Score(diffusion(&fields, scoring_roles(&fields, &scoring, report), at, report), scoring))
}

fn diffusion(fields: &Fields, roles: RolesSpec, span: Span, report: &mut Report) -> DiffuseSpec {
    DiffuseSpec {
        roles,
        denoiser: fields.text("denoiser", report),
        sampler: SamplerSpec::read(fields),
        seed: fields.integer("seed", report),
        span,
    }
}

fn judge(entry: &Entry, within: String, files: Files<'_>, report: &mut Report) -> Option<Action> {
    let fields = Fields::open(&entry.node, &surface::SCORER_NODE, within.clone(), entry.key.span, report)?;
    let classes = fields.texts("classes", report);
    check_unique("class", &classes, report);
    let weights = fields.text("weights", report);
    Some(Action::Judge(ScorerNodeSpec {
        within,
        score: used(&fields, "score", report)?,
        weights: weights.map(|path| SpannedString::new(files.beside(&path), path.span)),
        from: fields.text("from", report),
        stream: fields.text("stream", report),
        classes,
    }))
}

fn compare(entry: &Entry, within: String, report: &mut Report) -> Option<Action> {
    let fields = Fields::open(&entry.node, &surface::PAIR_NODE, within, entry.key.span, report)?;
    let classes = classes(&fields, report);
    let against = fields.text("against", report);
    if against.is_some() != classes.names.is_empty() {
        let node = entry.key.value.clone();
        report.error(entry.key.span, ActionProblem::OneComparison { node });
    }
    let from = fields.text("from", report);
    Some(Action::Compare(PairNodeSpec { score: fields.text("score", report)?, from, against, classes }))
}
