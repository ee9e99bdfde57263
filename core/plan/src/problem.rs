//! The list of everything that can be wrong, and of everything that is merely odd.

use std::fmt;

use serde::Serialize;
use thiserror::Error;

/// An error in the user's files. The user must act, except for [`Problem::Internal`].
#[derive(Clone, Debug, PartialEq, Error, Serialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)] // The fields are what the sentence above them says.
pub enum Problem {
    /// The text is no YAML, or more than the parser allows.
    #[error("{text}")]
    Syntax { text: String },
    /// It is YAML, but not a file of ours.
    #[error("this is no {expected} file: {found}")]
    WrongFile { expected: String, found: String },
    /// `anyflow:` names a version that this program does not read.
    #[error("version {found} of the file format is not known; this program reads version {known}")]
    WrongVersion { found: String, known: u32 },
    /// A key or name is given twice.
    #[error("{what} `{name}` is given twice")]
    Duplicate { what: String, name: String },
    /// A key that nobody reads.
    #[error("unknown key `{key}` in {within}{hint}")]
    UnknownKey { key: String, within: String, hint: Hint },
    /// A key that must be there.
    #[error("{within} lacks the key `{key}`")]
    MissingKey { key: String, within: String },
    /// A value of another form than the key takes.
    #[error("{what} must be {expected}, found {found}")]
    WrongForm { what: String, expected: String, found: String },
    /// A number or length outside its bounds.
    #[error("{what} must be {bound}, found {value}")]
    OutOfBounds { what: String, value: String, bound: String },
    /// A name that cannot be used as one.
    #[error("`{name}` cannot be a name: {reason}")]
    BadName { name: String, reason: String },
    /// A name that nothing has.
    #[error("unknown {what} `{name}`{hint}")]
    UnknownName { what: String, name: String, hint: Hint },
    /// A name that something does not have.
    #[error("{owner} has no {what} `{name}`{hint}")]
    NotThere { owner: String, what: String, name: String, hint: Hint },
    /// A word that is none of those allowed.
    #[error("{what} cannot be `{word}`{hint}")]
    BadWord { what: String, word: String, hint: Hint },
    /// A stage's `train` names nothing that its objective trains.
    #[error("objective `{objective}` trains a {what}, and there is no {what} `{name}`{hint}")]
    NotTrainable { objective: String, what: String, name: String, hint: Hint },
    /// A word where `plugin/component` is wanted.
    #[error("`{text}` is not of the form `plugin/component`{hint}")]
    NotAComponent { text: String, hint: Hint },
    /// A codec where a module is wanted, or the other way round.
    #[error("`{component}` is a {found}, but a {expected} is wanted here")]
    WrongComponent { component: String, found: String, expected: String },
    /// A module that cannot do what is asked of it.
    #[error("module `{component}` cannot {role}; it can {can}")]
    NoRole { component: String, role: String, can: String },
    /// A component that no stream or no prompt of the model uses.
    #[error("no {what} of the model uses `{component}`{hint}")]
    UnusedComponent { what: &'static str, component: String, hint: Hint },
    /// A parameter that nothing gives a value.
    #[error("parameter `{parameter}` of `{component}` has no default and nothing gives its value")]
    MissingParameter { component: String, parameter: String },
    /// Two ends that meet have other shapes, dtypes, ranges or modalities.
    #[error("{what} do not agree: {one}, but {other}")]
    Mismatch { what: &'static str, one: String, other: String },
    /// An edge whose two ends have different types.
    #[error("{to} takes {wanted}, but `{from}` is {found}")]
    EdgeMismatch { to: String, wanted: String, from: String, found: String },
    /// A node with several ports, or a port that it does not have.
    #[error("`{node}` has no port `{port}`{hint}")]
    UnknownPort { node: String, port: String, hint: Hint },
    /// A node with several ports, used without one.
    #[error("`{node}` has a port per stream; write {choices}")]
    PortWanted { node: String, choices: String },
    /// Nodes that wait for each other.
    #[error("these nodes wait for each other: {}", .nodes.join(" -> "))]
    Cycle { nodes: Vec<String> },
    /// Several things fit and none is named.
    #[error("{what} is ambiguous: {}; {remedy}", .candidates.join(", "))]
    Ambiguous { what: String, candidates: Vec<String>, remedy: String },
    /// Streams that no single denoiser is over.
    #[error("no denoiser of the model is over {}{hint}", .streams.join(", "))]
    NoDenoiser { streams: Vec<String>, hint: Hint },
    /// A table lacks what a stage or task reads.
    #[error("table `{table}` has no column for {wanted}, which {reader} reads")]
    MissingColumn { table: String, wanted: String, reader: String },
    /// A table over several sources does not say how rows are matched.
    #[error("{table} takes columns from {} but has no `join`", .sources.join(" and "))]
    NoJoin { table: String, sources: Vec<String> },
    /// A reference to a column that is not `source.column`.
    #[error("`{text}` is not of the form `source.column`{hint}")]
    NotAColumn { text: String, hint: Hint },
    /// A stage or task asks for something that cannot be done.
    #[error("{what} {reason}")]
    Impossible { what: String, reason: String },
    /// A generated stream that nobody judges.
    #[error("task `{task}` generates `{stream}`, but no judge of that name is listed")]
    NoJudge { task: String, stream: String },
    /// Judges whose answers cannot be compared.
    #[error("judge `{one}` tells {one_classes} classes apart, judge `{other}` {other_classes}")]
    ClassesMismatch { one: String, one_classes: i64, other: String, other_classes: i64 },
    /// A word of the language that this version does not run.
    #[error("`{word}` is not supported by this version{hint}")]
    Unsupported { word: String, hint: Hint },
    /// An override that cannot be applied.
    #[error("cannot override `{path}`: {reason}{hint}")]
    BadOverride { path: String, reason: String, hint: Hint },
    /// A column that the dataset does not have.
    #[error("input `{input}` reads column `{column}`, which the dataset does not have{hint}")]
    NoSuchColumn { input: String, column: String, hint: Hint },
    /// A column whose cells are of another kind.
    #[error("input `{input}` needs cells of kind {wanted}, but column `{column}` holds {found}")]
    WrongCells { input: String, column: String, wanted: String, found: String },
    /// Errors beyond those that are told one by one.
    #[error("and {count} more")]
    More { count: usize },
    /// Our fault: please report.
    #[error("internal error, please report: {text}")]
    Internal { text: String },
}

/// Something allowed and yet probably not meant.
#[derive(Clone, Debug, PartialEq, Error, Serialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Caution {
    /// A thing that nothing uses.
    #[error("{what} `{name}` is not used{consequence}")]
    Unused { what: String, name: String, consequence: String },
    /// A key that has no effect here.
    #[error("`{key}` has no effect: {reason}")]
    NoEffect { key: String, reason: String },
    /// Warnings beyond those that are told one by one.
    #[error("and {count} more")]
    More { count: usize },
}

/// What stands for all that is too much to tell.
pub(crate) trait Surplus {
    fn surplus(count: usize) -> Self;
}

impl Surplus for Problem {
    fn surplus(count: usize) -> Self {
        Problem::More { count }
    }
}

impl Surplus for Caution {
    fn surplus(count: usize) -> Self {
        Caution::More { count }
    }
}

/// What could have been meant: the nearest known name, or else all of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Hint {
    /// The nearest known name, if one is near.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// The known names, the first thousand.
    pub known: Vec<String>,
}

/// Names listed in a message at most.
const LISTED: usize = 16;
/// Names among which the one that was meant is looked for.
const SEARCHED: usize = 1000;

impl Hint {
    /// The hint for a name among those that exist.
    pub fn among<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<String> = known.into_iter().take(SEARCHED).map(str::to_string).collect();
        Hint { suggestion: nearest(name, &known), known }
    }

    /// No hint.
    pub fn none() -> Self {
        Hint::default()
    }

    /// One name that fits, for a known reason.
    pub fn exactly(name: impl Into<String>) -> Self {
        Hint { suggestion: Some(name.into()), known: Vec::new() }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.suggestion {
            Some(name) => write!(f, "; did you mean `{name}`?"),
            None if self.known.is_empty() => Ok(()),
            None => {
                let more = if self.known.len() > LISTED { ", ..." } else { "" };
                let listed: Vec<&str> = self.known.iter().take(LISTED).map(String::as_str).collect();
                write!(f, " (known: {}{more})", listed.join(", "))
            }
        }
    }
}

/// The known name with the fewest edits, if they are few for its length.
fn nearest(name: &str, known: &[String]) -> Option<String> {
    let limit = name.chars().count().div_ceil(3);
    known
        .iter()
        .map(|candidate| (strsim::osa_distance(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(edits, _)| *edits <= limit)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate.clone())
}
