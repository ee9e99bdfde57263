//! `Spec`: the files as written, each name and value with its place. Keys and forms are checked here, references later.

mod companions;
mod evaluation;
mod guidance;
mod model;
mod network;
mod pipeline;
mod scoring;
mod training;

pub(crate) use companions::{AggregateSpec, HeadSpec};
pub(crate) use evaluation::{EvaluationSpec, JudgeSpec, TaskSpec, VariantSpec, evaluation};
pub(crate) use guidance::{GuidanceSpec, guidance};
pub(crate) use model::{DenoiserSpec, ModelSpec, StreamSpec, Use, model};
pub(crate) use pipeline::{
    Action, CodeSpec, DiffuseSpec, NodeSpec, ObservedSpec, PipelineSpec, ScoreSpec, given, pipeline,
};
pub(crate) use scoring::{ScoringSpec, scoring};
pub(crate) use training::{SourceSpec, StageSpec, TableSpec, TrainingSpec, sources, table, training};

use crate::compile::FileKind;
use crate::error::Report;
use crate::problem::{Hint, Problem};
use crate::source::SpannedString;
use crate::surface::{Fields, Mapping, VERSION};
use crate::yaml::{Content, Node};

impl FileKind {
    /// How messages call such a file.
    pub fn name(self) -> &'static str {
        match self {
            FileKind::Pipeline => "pipeline",
            FileKind::Model => "model",
            FileKind::Training => "training",
            FileKind::Evaluation => "evaluation",
        }
    }

    /// The kind of a file, by the key that only it has.
    pub(crate) fn of(root: &Node) -> Option<FileKind> {
        let Content::Mapping(entries) = &root.content else { return None };
        let has = |key: &str| entries.iter().any(|entry| entry.key.value == key);
        match () {
            () if has("nodes") => Some(FileKind::Pipeline),
            () if has("streams") || has("from") => Some(FileKind::Model),
            () if has("stages") => Some(FileKind::Training),
            () if has("tasks") || has("judges") => Some(FileKind::Evaluation),
            () => None,
        }
    }
}

/// Opens a file of a known kind; a file of another kind is refused as a whole.
fn open<'a>(root: &'a Node, kind: FileKind, mapping: &'static Mapping, report: &mut Report) -> Option<Fields<'a>> {
    if let Some(other) = FileKind::of(root).filter(|other| *other != kind) {
        let found = format!("by its keys it is a {}", other.name());
        report.error(root.span, Problem::WrongFile { expected: kind.name().into(), found });
        return None;
    }
    if !matches!(root.content, Content::Mapping(_)) {
        report.error(root.span, Problem::WrongFile { expected: kind.name().into(), found: root.found() });
        return None;
    }
    let fields = Fields::open(root, mapping, format!("the {}", kind.name()), root.span, report)?;
    version(&fields, report);
    Some(fields)
}

fn version(fields: &Fields, report: &mut Report) {
    let Some(entry) = fields.entry("anyflow") else { return };
    let found = entry.node.json();
    if found.as_u64() != Some(u64::from(VERSION)) {
        report.error(entry.node.span, Problem::WrongVersion { found: found.to_string(), known: VERSION });
    }
}

/// Refuses a name that references could not be made to.
fn check_name(name: &SpannedString, report: &mut Report) {
    let reason = if name.value.is_empty() {
        "it is empty"
    } else if name.value.contains('.') {
        "a dot separates a node from its port"
    } else if name.value.contains(char::is_whitespace) {
        "it contains a space"
    } else {
        return check_file_name(name, report);
    };
    report.error(name.span, Problem::BadName { name: name.value.clone(), reason: reason.into() });
}

/// Bytes of a name at most. A file's name has a number, a hash and an ending beside it, and 255 bytes in all.
const LONGEST_NAME: usize = 100;

/// Refuses a name that no file or folder could be called after, or that would lead out of the folder it is in.
fn check_file_name(name: &SpannedString, report: &mut Report) {
    let reason = if name.value.trim().is_empty() {
        "it is empty".to_string()
    } else if name.value.contains(['/', '\\']) {
        "a file or folder is called after it, so it must not contain `/` or `\\`".into()
    } else if name.value.starts_with('.') {
        "a file or folder is called after it, so it must not begin with a dot".into()
    } else if name.value.contains(char::is_control) {
        "it contains a control character".into()
    } else if name.value.len() > LONGEST_NAME {
        format!("it has {} bytes, more than {LONGEST_NAME}", name.value.len())
    } else {
        return;
    };
    report.error(name.span, Problem::BadName { name: name.value.clone(), reason });
}

/// Refuses a name that another thing of the same kind has.
fn check_unique<'a>(what: &str, names: impl IntoIterator<Item = &'a SpannedString>, report: &mut Report) {
    let mut seen: Vec<&SpannedString> = Vec::new();
    for name in names {
        match seen.iter().find(|first| first.value == name.value) {
            Some(first) => {
                let problem = Problem::Duplicate { what: what.into(), name: name.value.clone() };
                report.error_with(name.span, problem, first.span, "first given here");
            }
            None => seen.push(name),
        }
    }
}

/// An unknown name among known ones.
pub(crate) fn unknown<'a>(
    what: &str,
    name: &SpannedString,
    known: impl IntoIterator<Item = &'a str>,
    report: &mut Report,
) {
    let hint = Hint::among(&name.value, known);
    report.error(name.span, Problem::UnknownName { what: what.into(), name: name.value.clone(), hint });
}
