//! `Spec`: the files as written, with the position of each name and value. Keys and forms are checked here, references
//! later.

mod companions;
mod evaluation;
mod guidance;
mod model;
mod network;
mod parts;
mod pipeline;
mod roles;
mod sampler;
mod scoring;
mod training;

pub(crate) use companions::{AggregateSpec, HeadSpec};
pub(crate) use evaluation::{EvaluationSpec, JudgeSpec, TaskSpec, VariantSpec, evaluation};
pub(crate) use guidance::{GuidanceSpec, InsteadSpec, guidance};
pub(crate) use model::{DenoiserSpec, ModelSpec, PromptSpec, StreamSpec, Use, model};
pub(crate) use parts::{CheckpointSpec, PartSpec};
pub(crate) use pipeline::{
    Action, ActionProblem, CodeSpec, ColumnProblem, DiffuseSpec, INNER, InputSpec, LoneNode, NodeSpec, OutputSpec,
    PairNodeSpec, PipelineSpec, ScorerNodeSpec, SubgraphProblem, pipeline,
};
pub(crate) use roles::{ObservedSpec, RolesSpec, Written, other_roles, roles};
pub(crate) use sampler::SamplerSpec;
pub(crate) use scoring::{ClassesSpec, ScoringSpec, TemplateProblem, scoring, scoring_roles};
pub(crate) use training::{
    GeneratedSpec, SourceSpec, StageSpec, TableSpec, TrainingSpec, WrittenKey, sources, table, training,
};

use anyflow_config::Mapping;

use crate::compile::FileKind;
use crate::error::Report;
use crate::problem::{Hint, NameFault, Problem};
use crate::source::SpannedString;
use crate::surface::{Fields, VERSION};
use crate::yaml::{Content, Node};

impl FileKind {
    /// The name in messages.
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
        if has("nodes") {
            Some(FileKind::Pipeline)
        } else if has("streams") || has("prompts") || has("from") {
            Some(FileKind::Model)
        } else if has("stages") {
            Some(FileKind::Training)
        } else {
            (has("tasks") || has("judges")).then_some(FileKind::Evaluation)
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
        report.error(
            root.span,
            Problem::WrongFile { expected: kind.name().into(), found: format!("found {}", root.found()) },
        );
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

/// Refuses a name that references cannot express.
fn check_name(name: &SpannedString, report: &mut Report) {
    let reason = if name.value.is_empty() {
        NameFault::Empty
    } else if name.value.contains('.') {
        NameFault::Dot
    } else if name.value.contains(char::is_whitespace) {
        NameFault::Space
    } else {
        return check_file_name(name, report);
    };
    report.error(name.span, Problem::BadName { name: name.value.clone(), reason });
}

/// Maximum bytes of a name. A file name has 255 bytes, including a number, a hash and an extension.
const LONGEST_NAME: usize = 100;

/// Refuses a name that cannot be the name of a file or folder, or that would leave its folder.
fn check_file_name(name: &SpannedString, report: &mut Report) {
    let reason = if name.value.trim().is_empty() {
        NameFault::Empty
    } else if name.value.contains(['/', '\\']) {
        NameFault::Slash
    } else if name.value.starts_with('.') {
        NameFault::Hidden
    } else if name.value.contains(char::is_control) {
        NameFault::Control
    } else if name.value.len() > LONGEST_NAME {
        NameFault::TooLong { bytes: name.value.len(), most: LONGEST_NAME }
    } else {
        return;
    };
    report.error(name.span, Problem::BadName { name: name.value.clone(), reason });
}

/// Refuses duplicate names.
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

/// Reports an unknown name, with a hint among the known ones.
pub(crate) fn unknown<'a>(
    what: &str,
    name: &SpannedString,
    known: impl IntoIterator<Item = &'a str>,
    report: &mut Report,
) {
    let hint = Hint::among(&name.value, known);
    report.error(name.span, Problem::UnknownName { what: what.into(), name: name.value.clone(), hint });
}
