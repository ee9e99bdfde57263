//! Problems that any part of the planner may find. A rule declares its own problems, in its own file.

mod codes;
mod name;

use std::fmt;

use serde::Serialize;

pub use codes::CodeEntry;
pub(crate) use codes::{Coded, kebab, problems};
pub(crate) use name::NameFault;

problems! {
    /// An error in the user's files. The user must act, except for [`Problem::Internal`].
    pub(crate) enum Problem {
        /// The file is not valid YAML, or nests deeper than the parser allows.
        /// Example: `nodes: [encode` without the closing bracket.
        /// Cure: Fix the text at the underlined place. Indent with spaces, and quote text that contains `: ` or begins
        /// with a special character.
        #[error("{text}")]
        Syntax { text: String },
        /// The file is valid YAML, but of another kind than the command or the key needs.
        /// Example: `model: train.yaml` in a pipeline: a training where a model is needed.
        /// Cure: Name a file of the right kind. A pipeline has `nodes`, a model `streams`, `prompts` or `from`, a training `stages`,
        /// an evaluation `tasks` or `judges`.
        #[error("not a valid {expected} file: {found}")]
        WrongFile { expected: String, found: String },
        /// The key `anyflow` names a version of the file format that this program does not read.
        /// Example: `anyflow: 2` with a program that reads version 1.
        /// Cure: Write the version that the message names, or use a program that reads this version.
        #[error("unknown version {found} of the file format; this program reads version {known}")]
        WrongVersion { found: String, known: u32 },
        /// A key or a name appears twice in one place.
        /// Example: Two nodes with the name `left`.
        /// Cure: Rename or remove one of them.
        #[error("{what} `{name}` is given twice")]
        Duplicate { what: String, name: String },
        /// A key does not exist here. Often it is misspelled, indented too far, or belongs to another kind.
        /// Example: `samper: {kind: ddim}` in a `diffuse` node.
        /// Cure: Write the suggested key. `anyflow explain diffuse` lists the keys of a section.
        #[error("unknown key `{key}` in {within}{hint}")]
        UnknownKey { key: String, within: String, hint: Hint },
        /// A key that must be written is missing.
        /// Example: A denoiser without `network`.
        /// Cure: Add the key. `anyflow explain KEY` shows its values.
        #[error("{within} lacks the key `{key}`")]
        MissingKey { key: String, within: String },
        /// A value has another form than its key needs: a list in place of a number, for example.
        /// Example: `steps: many`.
        /// Cure: Write a value of the form that the message names.
        #[error("{what} must be {expected}, found {found}")]
        WrongForm { what: String, expected: String, found: String },
        /// A number or the length of a list is outside its bounds.
        /// Example: `steps: 0`; the bound is at least 1.
        /// Cure: Write a value within the bounds. `anyflow explain KEY` shows them.
        #[error("{what} must be {bound}, found {value}")]
        OutOfBounds { what: String, value: String, bound: String },
        /// A list has too few or too many names for what it is about.
        /// Example: `diffuse: []`, a node that generates nothing.
        /// Cure: List as many names as the message says.
        #[error("{what} must list {wanted}, found {found}")]
        WrongCount { what: String, wanted: String, found: usize },
        /// A name cannot be used: names of nodes, streams and files must be printable, without dots, spaces and slashes.
        /// Example: A node with the name `a.b`; the dot separates a node from its port.
        /// Cure: Choose another name.
        #[error("`{name}` cannot be a name: {reason}")]
        BadName { name: String, reason: NameFault },
        /// A reference names something that is not defined.
        /// Example: `diffuse: [lfet]` with a stream `left`.
        /// Cure: Write the suggested name, or define the thing.
        #[error("unknown {what} `{name}`{hint}")]
        UnknownName { what: String, name: String, hint: Hint },
        /// A reference names something that its owner does not have.
        /// Example: `objective: {kind: denoise, streams: [text]}` for a denoiser that is not over `text`.
        /// Cure: Name something that the owner has, or add it to the owner.
        #[error("{owner} has no {what} `{name}`{hint}")]
        NotThere { owner: String, what: String, name: String, hint: Hint },
        /// A word is not one of the allowed ones.
        /// Example: `predict: epsilon`; the words are `eps`, `x0`, `v` and `flow`.
        /// Cure: Write one of the listed words.
        #[error("{what} cannot be `{word}`{hint}")]
        BadWord { what: String, word: String, hint: Hint },
        /// Two connected things differ in shape, dtype, range or modality.
        /// Example: A codec that makes [1, 28, 28] with a module that takes [3, 32, 32].
        /// Cure: Change one of the two: another component, other parameters, or another `latent`.
        #[error("{what} do not match: {one}, but {other}")]
        Mismatch { what: &'static str, one: String, other: String },
        /// Several things fit, and the file does not say which one is meant.
        /// Example: Two denoisers over the same stream, and a node without `denoiser`.
        /// Cure: Name one of the candidates with the key that the message names.
        #[error("{what} is ambiguous: {}; {remedy}", .candidates.join(", "))]
        Ambiguous { what: String, candidates: Vec<String>, remedy: String },
        /// More errors than are listed.
        /// Example: A file with hundreds of errors.
        /// Cure: Fix the listed errors first.
        #[error("and {count} more")]
        More { count: usize },
        /// A bug in Anyflow.
        /// Example: No file should show this.
        /// Cure: Report it with the file and the message.
        #[error("internal error, please report: {text}")]
        Internal { text: String },
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
