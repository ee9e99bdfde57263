//! Values from the command line that replace values of the file: `joint.sampler.steps=50`.
//!
//! Overrides are put into the tree before it is read, each with its own position. So every check of the file applies to
//! them and points at them.

mod choices;
mod fault;

use anyflow_config::{
    Family, Guidance, Kinds, Network, ObjectiveConfig, OptimizerConfig, Sampling, ScheduleConfig, TimeDistribution,
};

use crate::compile::FileKind;
use crate::error::{Errors, Report};
use crate::problem::{Hint, problems};
use crate::source::{Source, SourceId, Span, SpannedString};
use crate::yaml::{self, Content, Entry, Node};

pub use choices::Choices;
use fault::OverrideFault;

problems! {
    /// What can be wrong with a value from the command line.
    pub(crate) enum OverrideProblem {
        /// An override (`--set`) cannot be applied.
        /// Example: `--set joint.sampler.steps.a=1`, where `steps` is a number.
        /// Cure: Write a path of keys that exist, and a value of the form that the key needs.
        #[error("cannot override `{path}`: {reason}{hint}")]
        BadOverride { path: String, reason: OverrideFault, hint: Hint },
        /// An override changes a kind, and the new kind does not have one of the keys that are written for the former one.
        /// Example: `--set joint.sampler.kind=dpmpp-2m` for `sampler: {kind: ddim, eta: 0.5}`.
        /// Cure: Nothing, if the key is not meant for the new kind. Otherwise set its counterpart with another `--set`.
        #[error("`{key}` has no effect: `{path}` is set to {kind}, which has no such key")]
        DroppedKey { key: String, path: String, kind: String },
    }
}

/// A value from the command line that replaces a value of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    text: String,
}

impl Override {
    /// Reads `a.b=c`; the value is YAML. The path starts at a node, input or output of a pipeline, at a stage, table,
    /// source, scorer, task or judge, at a key of the whole file, or with `model.` in the model file that it names.
    ///
    /// # Errors
    /// No `=`, an empty name in the path, or a value that is not valid YAML.
    pub fn parse(text: &str) -> Result<Self, Errors> {
        let mut report = Report::default();
        let source = Source::new("--set", text);
        let parsed = parse(text, SourceId(0), &mut report);
        if parsed.is_none() || report.failed() {
            return Err(report.into_errors(&[&source], 0));
        }
        Ok(Override { text: text.to_string() })
    }
}

/// The overrides as sources, which messages can point into.
pub(crate) fn sources(overrides: &[Override]) -> Vec<Source> {
    let path = |index: usize| if index == 0 { "--set".to_string() } else { format!("--set ({})", index + 1) };
    let source = |(index, given): (usize, &Override)| Source::new(path(index), given.text.clone());
    overrides.iter().enumerate().map(source).collect()
}

/// The path and the value.
fn parse(text: &str, source: SourceId, report: &mut Report) -> Option<(Vec<SpannedString>, Node)> {
    let whole = Span { source, start: 0, end: text.len() };
    let bad = |reason| OverrideProblem::BadOverride { path: text.into(), reason, hint: Hint::none() };
    let Some((path, value)) = text.split_once('=') else {
        report.error(whole, bad(OverrideFault::NoValue));
        return None;
    };
    let mut segments = Vec::new();
    let mut start = 0;
    for segment in path.split('.') {
        segments.push(SpannedString::new(segment.to_string(), Span { source, start, end: start + segment.len() }));
        start += segment.len() + 1;
    }
    if segments.iter().any(|segment| segment.value.is_empty()) {
        report.error(whole, bad(OverrideFault::EmptyName));
        return None;
    }
    let mut node = yaml::parse(value, source, report)?;
    moved(&mut node, path.len() + 1);
    if node.span.start == node.span.end {
        node.span = Span { source, start: path.len(), end: text.len() };
    }
    Some((segments, node))
}

/// Shifts the positions of a value that was parsed separately.
fn moved(node: &mut Node, by: usize) {
    let shift = |span: &mut Span| *span = Span { start: span.start + by, end: span.end + by, ..*span };
    shift(&mut node.span);
    match &mut node.content {
        Content::List(items) => items.iter_mut().for_each(|item| moved(item, by)),
        Content::Mapping(entries) => entries.iter_mut().for_each(|entry| {
            shift(&mut entry.key.span);
            moved(&mut entry.node, by);
        }),
        _ => {}
    }
}

/// The mappings, or lists of items with a `name`, at whose children a path may start.
fn roots(kind: FileKind) -> &'static [&'static str] {
    match kind {
        FileKind::Pipeline => &["nodes", "inputs", "outputs"],
        FileKind::Training => &["stages", "data", "scorers", "sources"],
        FileKind::Evaluation => &["tasks", "judges", "variants", "sources"],
        FileKind::Model => &["streams", "denoisers"],
    }
}

/// Applies an override to a file; `source` is its own id.
pub(crate) fn apply(given: &Override, source: SourceId, root: &mut Node, kind: FileKind, report: &mut Report) {
    let Some((path, value)) = parse(&given.text, source, report) else { return };
    if reaches_model(&path, root, kind) {
        return;
    }
    put(&path, value, root, kind, report);
}

/// Applies an override `model.PATH=VALUE` of the file `root` to the model that this file names, and ignores others.
pub(crate) fn apply_to_model(
    given: &Override,
    source: SourceId,
    root: &Node,
    kind: FileKind,
    model: &mut Node,
    report: &mut Report,
) {
    // Syntax errors were reported when the override was applied to the file.
    let Some((path, value)) = parse(&given.text, source, &mut Report::default()) else { return };
    if reaches_model(&path, root, kind) {
        put(&path[1..], value, model, FileKind::Model, report);
    }
}

/// True for `model.PATH` in a file that names a model by its path. A node, stage or task called `model` comes first.
fn reaches_model(path: &[SpannedString], root: &Node, kind: FileKind) -> bool {
    let is_model = path.len() > 1 && path[0].value == "model" && kind != FileKind::Model;
    let Content::Mapping(entries) = &root.content else { return false };
    let mut names = entries.iter().filter(|entry| roots(kind).contains(&entry.key.value.as_str()));
    is_model && !names.any(|entry| children(&entry.node).iter().any(|name| name == "model"))
}

fn put(path: &[SpannedString], value: Node, root: &mut Node, kind: FileKind, report: &mut Report) {
    let Some((first, rest)) = path.split_first() else { return };
    let known = names(root, kind);
    let Some(start) = start(root, kind, &first.value) else {
        let hint = Hint::among(&first.value, known.iter().map(String::as_str));
        let reason = OverrideFault::NotThere { file: kind.name(), name: first.value.clone() };
        return report.error(first.span, OverrideProblem::BadOverride { path: joined(path), reason, hint });
    };
    set(start, first, rest, path, value, report);
}

fn joined(path: &[SpannedString]) -> String {
    path.iter().map(|segment| segment.value.as_str()).collect::<Vec<_>>().join(".")
}

/// All names at which a path can start.
fn names(root: &Node, kind: FileKind) -> Vec<String> {
    let Content::Mapping(entries) = &root.content else { return Vec::new() };
    let mut names = Vec::new();
    for entry in entries {
        if roots(kind).contains(&entry.key.value.as_str()) {
            names.extend(children(&entry.node));
        }
        if kind != FileKind::Pipeline {
            names.push(entry.key.value.clone());
        }
    }
    names
}

fn children(node: &Node) -> Vec<String> {
    match &node.content {
        Content::Mapping(entries) => entries.iter().map(|entry| entry.key.value.clone()).collect(),
        Content::List(items) => items.iter().filter_map(own_name).map(str::to_string).collect(),
        _ => Vec::new(),
    }
}

/// The `name` of an item of a list.
fn own_name(item: &Node) -> Option<&str> {
    let Content::Mapping(entries) = &item.content else { return None };
    let name = entries.iter().find(|entry| entry.key.value == "name")?;
    match &name.node.content {
        Content::String(name) => Some(name),
        _ => None,
    }
}

/// The node at which a path starts.
fn start<'n>(root: &'n mut Node, kind: FileKind, name: &str) -> Option<&'n mut Node> {
    let Content::Mapping(entries) = &mut root.content else { return None };
    let own = |key: &str| key == name && (kind != FileKind::Pipeline || roots(kind).contains(&key));
    let in_root = |entry: &Entry| {
        roots(kind).contains(&entry.key.value.as_str()) && children(&entry.node).iter().any(|child| child == name)
    };
    let index = entries.iter().position(in_root);
    let Some(index) = index else {
        return entries.iter_mut().find(|entry| own(&entry.key.value)).map(|entry| &mut entry.node);
    };
    child(&mut entries[index].node, name)
}

fn child<'n>(node: &'n mut Node, name: &str) -> Option<&'n mut Node> {
    match &mut node.content {
        Content::Mapping(entries) => {
            entries.iter_mut().find(|entry| entry.key.value == name).map(|entry| &mut entry.node)
        }
        Content::List(items) => items.iter_mut().find(|item| own_name(item) == Some(name)),
        _ => None,
    }
}

/// Follows the path, adding missing mappings, and puts the value at its end.
fn set(
    node: &mut Node,
    at: &SpannedString,
    rest: &[SpannedString],
    path: &[SpannedString],
    value: Node,
    report: &mut Report,
) {
    let Some((next, rest)) = rest.split_first() else {
        *node = value;
        return;
    };
    let is_list = matches!(node.content, Content::List(_));
    if is_list && let Some(item) = child(node, &next.value) {
        return set(item, next, rest, path, value, report);
    }
    if !matches!(node.content, Content::Mapping(_)) {
        let reason = OverrideFault::NotAMapping { name: at.value.clone(), found: node.found() };
        let hint = Hint::none();
        return report.error(next.span, OverrideProblem::BadOverride { path: joined(path), reason, hint });
    }
    if next.value == "kind"
        && rest.is_empty()
        && let Some(family) = family(&at.value)
    {
        set_kind(node, family, next, path, value, report);
        return;
    }
    let Content::Mapping(entries) = &mut node.content else { return };
    let index = entries.iter().position(|entry| entry.key.value == next.value).unwrap_or_else(|| {
        let empty = Node { span: next.span, content: Content::Mapping(Vec::new()) };
        entries.push(Entry { key: next.clone(), node: empty });
        entries.len() - 1
    });
    set(&mut entries[index].node, next, rest, path, value, report);
}

/// The family of the kinds that a key takes.
fn family(key: &str) -> Option<&'static Family> {
    Some(match key {
        "schedule" => ScheduleConfig::FAMILY,
        "sampler" => Sampling::FAMILY,
        "guidance" => Guidance::FAMILY,
        "network" => Network::FAMILY,
        "objective" => ObjectiveConfig::FAMILY,
        "times" => TimeDistribution::FAMILY,
        "optimizer" => OptimizerConfig::FAMILY,
        _ => return None,
    })
}

/// Sets the `kind` of a mapping, and removes the keys that the former kind has and the new one lacks.
fn set_kind(
    node: &mut Node,
    family: &'static Family,
    key: &SpannedString,
    path: &[SpannedString],
    value: Node,
    report: &mut Report,
) {
    let unknown_before = unknown_keys(node, family);
    let kind = match &value.content {
        Content::String(name) => format!("`{name}`"),
        _ => value.found(),
    };
    let Content::Mapping(entries) = &mut node.content else { return };
    entries.retain(|entry| entry.key.value != "kind");
    entries.insert(0, Entry { key: key.clone(), node: value });
    let lacking = unknown_keys(node, family);
    let Content::Mapping(entries) = &mut node.content else { return };
    entries.retain(|entry| {
        let name = &entry.key.value;
        let is_kept = !lacking.contains(name) || unknown_before.contains(name);
        if !is_kept {
            let dropped = OverrideProblem::DroppedKey { key: name.clone(), path: joined(path), kind: kind.clone() };
            report.warning(entry.key.span, dropped);
        }
        is_kept
    });
}

/// The keys of a mapping `{kind: ..., ...}` that its kind does not have; none if the kind is unknown.
fn unknown_keys(node: &Node, family: &'static Family) -> Vec<String> {
    let Content::Mapping(entries) = &node.content else { return Vec::new() };
    let kind = match entries.iter().find(|entry| entry.key.value == "kind").map(|entry| &entry.node.content) {
        Some(Content::String(name)) => family.kind(name),
        Some(_) => None,
        None => family.default_kind(),
    };
    let Some(keys) = kind.map(|kind| family.keys(kind)) else { return Vec::new() };
    let names = entries.iter().map(|entry| &entry.key.value).filter(|name| *name != "kind");
    names.filter(|name| !keys.iter().any(|key| key.name == **name)).cloned().collect()
}
