//! All errors and warnings of the planner.

use std::fmt;

use serde::Serialize;
use thiserror::Error;

/// An error in the user's files. The user must act, except for [`Problem::Internal`].
#[derive(Clone, Debug, PartialEq, Error, Serialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)] // The message shows what each field is.
pub enum Problem {
    /// Invalid YAML, or a document beyond the limits of the parser.
    #[error("{text}")]
    Syntax { text: String },
    /// Valid YAML, but another kind of file.
    #[error("not a valid {expected} file: {found}")]
    WrongFile { expected: String, found: String },
    /// `anyflow:` names a version that this program does not read.
    #[error("unknown version {found} of the file format; this program reads version {known}")]
    WrongVersion { found: String, known: u32 },
    /// A key or name is given twice.
    #[error("{what} `{name}` is given twice")]
    Duplicate { what: String, name: String },
    /// An unknown key.
    #[error("unknown key `{key}` in {within}{hint}")]
    UnknownKey { key: String, within: String, hint: Hint },
    /// A missing key.
    #[error("{within} lacks the key `{key}`")]
    MissingKey { key: String, within: String },
    /// A value of another form than the key needs.
    #[error("{what} must be {expected}, found {found}")]
    WrongForm { what: String, expected: String, found: String },
    /// A number or length outside its bounds.
    #[error("{what} must be {bound}, found {value}")]
    OutOfBounds { what: String, value: String, bound: String },
    /// An invalid name. The reason is a sentence about it.
    #[error("`{name}` cannot be a name: {reason}")]
    BadName { name: String, reason: String },
    /// An unknown name.
    #[error("unknown {what} `{name}`{hint}")]
    UnknownName { what: String, name: String, hint: Hint },
    /// A name that its owner does not have.
    #[error("{owner} has no {what} `{name}`{hint}")]
    NotThere { owner: String, what: String, name: String, hint: Hint },
    /// A word that is not one of those allowed.
    #[error("{what} cannot be `{word}`{hint}")]
    BadWord { what: String, word: String, hint: Hint },
    /// `train` of a stage names something that its objective cannot train.
    #[error("objective `{objective}` trains a {what}, but there is no {what} `{name}`{hint}")]
    NotTrainable { objective: String, what: String, name: String, hint: Hint },
    /// A word instead of `plugin/component`.
    #[error("`{text}` is not of the form `plugin/component`{hint}")]
    NotAComponent { text: String, hint: Hint },
    /// A codec instead of a module, or a module instead of a codec.
    #[error("`{component}` is a {found}, but a {expected} is needed here")]
    WrongComponent { component: String, found: String, expected: String },
    /// A module without the required role.
    #[error("module `{component}` cannot {role}; it can {can}")]
    NoRole { component: String, role: String, can: String },
    /// A component that no stream or prompt of the model uses.
    #[error("no {what} of the model uses `{component}`{hint}")]
    UnusedComponent { what: &'static str, component: String, hint: Hint },
    /// A parameter without a value.
    #[error("parameter `{parameter}` of `{component}` has no default and does not follow from the shapes; set it")]
    MissingParameter { component: String, parameter: String },
    /// Two connected ends have different shapes, dtypes, ranges or modalities.
    #[error("{what} do not match: {one}, but {other}")]
    Mismatch { what: &'static str, one: String, other: String },
    /// An edge whose two ends have different types.
    #[error("{to} takes {wanted}, but `{from}` is {found}")]
    EdgeMismatch { to: String, wanted: String, from: String, found: String },
    /// A port that a node does not have.
    #[error("`{node}` has no port `{port}`{hint}")]
    UnknownPort { node: String, port: String, hint: Hint },
    /// A node with several ports, used without naming one.
    #[error("`{node}` has named ports; write {choices}")]
    PortWanted { node: String, choices: String },
    /// Nodes that depend on each other.
    #[error("these nodes form a cycle: {}", .nodes.join(" -> "))]
    Cycle { nodes: Vec<String> },
    /// Several candidates and no choice.
    #[error("{what} is ambiguous: {}; {remedy}", .candidates.join(", "))]
    Ambiguous { what: String, candidates: Vec<String>, remedy: String },
    /// Streams that no single denoiser has.
    #[error("no denoiser of the model has all the streams {}{hint}", .streams.join(", "))]
    NoDenoiser { streams: Vec<String>, hint: Hint },
    /// A table without a column that a stage or task reads.
    #[error("table `{table}` has no column for {wanted}, which {reader} reads")]
    MissingColumn { table: String, wanted: String, reader: String },
    /// A table with several sources and no column to join them on.
    #[error("{table} takes columns from {} and needs a `join`", .sources.join(" and "))]
    NoJoin { table: String, sources: Vec<String> },
    /// A reference to a column that is not `source.column`.
    #[error("`{text}` is not of the form `source.column`{hint}")]
    NotAColumn { text: String, hint: Hint },
    /// Something impossible, described by a whole sentence.
    #[error("{text}")]
    Impossible { text: String },
    /// A generated stream without a judge.
    #[error("task `{task}` generates `{stream}`, but `judges` has no `{stream}`")]
    NoJudge { task: String, stream: String },
    /// Judges with different numbers of classes.
    #[error("judge `{one}` has {one_classes} classes, but judge `{other}` has {other_classes}")]
    ClassesMismatch { one: String, one_classes: i64, other: String, other_classes: i64 },
    /// An override that cannot be applied.
    #[error("cannot override `{path}`: {reason}{hint}")]
    BadOverride { path: String, reason: String, hint: Hint },
    /// A column that the dataset does not have.
    #[error("input `{input}` reads column `{column}`, which the dataset does not have{hint}")]
    NoSuchColumn { input: String, column: String, hint: Hint },
    /// A column with cells of another kind.
    #[error("input `{input}` needs cells of kind {wanted}, but column `{column}` holds {found}")]
    WrongCells { input: String, column: String, wanted: String, found: String },
    /// Errors beyond those that are listed.
    #[error("and {count} more")]
    More { count: usize },
    /// A bug in Anyflow.
    #[error("internal error, please report: {text}")]
    Internal { text: String },
}

/// Something allowed but probably not intended.
#[derive(Clone, Debug, PartialEq, Error, Serialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Caution {
    /// An unused thing.
    #[error("{what} `{name}` is not used{consequence}")]
    Unused { what: String, name: String, consequence: String },
    /// A key that has no effect here.
    #[error("`{key}` has no effect: {reason}")]
    NoEffect { key: String, reason: String },
    /// Warnings beyond those that are listed.
    #[error("and {count} more")]
    More { count: usize },
}

/// The item that counts those that are not listed.
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

/// A hint after an unknown name: the nearest known name, or all known names.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Hint {
    /// The nearest known name, if it is near enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// The known names, the first thousand.
    pub known: Vec<String>,
}

/// Maximum number of names in a message.
const LISTED: usize = 16;
/// Maximum number of names to search for the nearest one.
const SEARCHED: usize = 1000;

impl Hint {
    /// The hint for a name among the known ones.
    pub fn among<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<String> = known.into_iter().take(SEARCHED).map(str::to_string).collect();
        Hint { suggestion: nearest(name, &known), known }
    }

    /// No hint.
    pub fn none() -> Self {
        Hint::default()
    }

    /// A hint with one name.
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

/// The known name with the fewest edits, if they are few relative to its length.
fn nearest(name: &str, known: &[String]) -> Option<String> {
    let limit = name.chars().count().div_ceil(3);
    known
        .iter()
        .map(|candidate| (strsim::osa_distance(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(edits, _)| *edits <= limit)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate.clone())
}
