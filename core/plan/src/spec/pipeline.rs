//! A pipeline as written.

use anyflow_config::{Sampling, ValueForm};

use crate::compile::FileKind;
use crate::descriptor::Role;
use crate::error::Report;
use crate::problem::{Hint, Problem, problems};
use crate::source::{Span, SpannedString};
use crate::spec::{RolesSpec, ScoringSpec, check_name, check_unique, open, roles, scoring, scoring_roles};
use crate::surface::{self, Fields, Reader};
use crate::yaml::{Content, Entry, Node};

problems! {
    /// What can be wrong with the action of a node.
    pub(crate) enum ActionProblem {
        /// A node does not say what it does.
        /// Example: `sound: {from: joint.left}`.
        /// Cure: Add one of the actions that the message lists, for example `decode: PLUGIN/module`.
        #[error("node `{node}` has no action; add one of {}", .actions.join(", "))]
        NoAction { node: String, actions: Vec<&'static str> },
    }
}

/// A pipeline file.
#[derive(Debug)]
pub(crate) struct PipelineSpec {
    pub name: Option<SpannedString>,
    pub inputs: Vec<InputSpec>,
    pub nodes: Vec<NodeSpec>,
    /// Column -> node, port or input.
    pub outputs: Vec<(SpannedString, SpannedString)>,
}

/// An input.
#[derive(Debug)]
pub(crate) struct InputSpec {
    pub name: SpannedString,
    pub modality: Option<SpannedString>,
    /// The input's own name and position if no column is written.
    pub column: SpannedString,
}

/// A node; its action is `None` if it could not be read, which was reported.
#[derive(Debug)]
pub(crate) struct NodeSpec {
    pub name: SpannedString,
    pub action: Option<Action>,
}

/// The action of a node.
#[derive(Debug)]
pub(crate) enum Action {
    Code(CodeSpec),
    Diffuse(DiffuseSpec),
    Score(DiffuseSpec, ScoringSpec),
}

/// Encoding, decoding or embedding.
#[derive(Debug)]
pub(crate) struct CodeSpec {
    pub role: Role,
    pub component: SpannedString,
    pub from: Option<SpannedString>,
    /// Stream or prompt, if several use the component.
    pub stream: Option<SpannedString>,
}

/// Generating or classifying.
#[derive(Debug)]
pub(crate) struct DiffuseSpec {
    pub roles: RolesSpec,
    pub denoiser: Option<SpannedString>,
    pub sampler: Option<Sampling>,
    pub seed: Option<u64>,
    /// Position of `diffuse` or `score`.
    pub span: Span,
}

/// Reads a pipeline.
pub(crate) fn pipeline(root: &Node, report: &mut Report) -> Option<PipelineSpec> {
    let fields = open(root, FileKind::Pipeline, &surface::PIPELINE, report)?;
    let inputs: Vec<_> = fields.names("inputs", report).iter().map(|entry| input(entry, report)).collect();
    let nodes: Vec<_> = fields.names("nodes", report).iter().map(|entry| node(entry, report)).collect();
    let outputs = fields.pairs("outputs", report);
    check_unique("name", inputs.iter().map(|input| &input.name).chain(nodes.iter().map(|node| &node.name)), report);
    if outputs.is_empty() && fields.entry("outputs").is_some() {
        let at = fields.entry("outputs").map_or(root.span, |entry| entry.key.span);
        let what = "`outputs`".into();
        report.error(at, Problem::WrongCount { what, wanted: "at least one column".into(), found: 0 });
    }
    Some(PipelineSpec { name: fields.text("name", report), inputs, nodes, outputs })
}

fn input(entry: &Entry, report: &mut Report) -> InputSpec {
    let name = entry.key.clone();
    check_name(&name, report);
    let within = format!("input `{}`", name.value);
    let mut spec = InputSpec { column: name.clone(), name, modality: None };
    let Some(fields) = Fields::open(&entry.node, &surface::INPUT, within, spec.name.span, report) else {
        return spec;
    };
    spec.modality = fields.text("modality", report);
    if let Some(column) = fields.text("column", report) {
        spec.column = column;
    }
    spec
}

const ACTIONS: [&str; 5] = ["encode", "decode", "embed", "diffuse", "score"];

fn node(entry: &Entry, report: &mut Report) -> NodeSpec {
    let name = entry.key.clone();
    check_name(&name, report);
    let action = action(entry, report);
    NodeSpec { name, action }
}

fn action(entry: &Entry, report: &mut Report) -> Option<Action> {
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
        Some(&"score") => score(entry, within, report),
        Some(_) => diffuse(entry, within, report),
        None => {
            no_action(entry, entries, within, report);
            None
        }
    }
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
    let component = fields.text(key, report)?;
    Some(Action::Code(CodeSpec { role, component, from, stream }))
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
        sampler: fields.typed("sampler", report),
        seed: fields.integer("seed", report),
        span,
    }
}
