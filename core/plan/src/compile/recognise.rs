//! The kind of a file, and the models that it names.

use crate::error::{Errors, Report};
use crate::problem::Problem;
use crate::source::{Source, SourceId};
use crate::yaml::{self, Content, Entry, Node};

/// The kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Has `nodes`.
    Pipeline,
    /// Has `streams` or `from`.
    Model,
    /// Has `stages`.
    Training,
    /// Has `tasks` and `judges`.
    Evaluation,
}

/// Returns the kind of a file, by its keys.
///
/// # Errors
/// Invalid YAML, or none of the keys that identify a kind.
pub fn kind_of(source: &Source) -> Result<FileKind, Errors> {
    read(source, |root, report| {
        let kind = FileKind::of(root);
        if kind.is_none() {
            let found = "it has none of the keys `nodes`, `streams`, `stages`, `tasks`".into();
            report.error(root.span, Problem::WrongFile { expected: "Anyflow".into(), found });
        }
        kind
    })
}

/// Paths of the models that a pipeline, training or evaluation names, joined to its folder: its own first, then those
/// of variants, each once.
///
/// # Errors
/// Invalid YAML, or no `model`.
pub fn model_paths(source: &Source) -> Result<Vec<String>, Errors> {
    read(source, |root, report| {
        let Content::Mapping(entries) = &root.content else { return None };
        let within = FileKind::of(root).map_or("the file".into(), |kind| format!("the {}", kind.name()));
        let Some(entry) = entries.iter().find(|entry| entry.key.value == "model") else {
            report.error(root.span, Problem::MissingKey { key: "model".into(), within });
            return None;
        };
        let path = crate::surface::text(&entry.node, &format!("`model` of {within}"), report)?;
        let mut paths = vec![source.beside(&path.value)];
        for path in variants(entries).filter_map(|entries| value(entries, "model")) {
            if let Content::String(path) = &path.content
                && !paths.contains(&source.beside(path))
            {
                paths.push(source.beside(path));
            }
        }
        Some(paths)
    })
}

/// The variants of an evaluation.
fn variants(entries: &[Entry]) -> impl Iterator<Item = &[Entry]> {
    let variants = value(entries, "variants").into_iter().flat_map(|node| match &node.content {
        Content::Mapping(entries) => entries.as_slice(),
        _ => &[],
    });
    variants.filter_map(|entry| match &entry.node.content {
        Content::Mapping(entries) => Some(entries.as_slice()),
        _ => None,
    })
}

fn value<'n>(entries: &'n [Entry], key: &str) -> Option<&'n Node> {
    entries.iter().find(|entry| entry.key.value == key).map(|entry| &entry.node)
}

/// Reads one value from a file.
fn read<T>(source: &Source, take: impl FnOnce(&Node, &mut Report) -> Option<T>) -> Result<T, Errors> {
    let mut report = Report::default();
    let value = yaml::parse(&source.text, SourceId(0), &mut report).and_then(|root| take(&root, &mut report));
    report.finish(value, &[source], 1).map(|(value, _)| value)
}
