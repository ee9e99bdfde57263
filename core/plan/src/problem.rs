//! All errors and warnings of the planner.

#[macro_use]
mod codes;

use std::fmt;

use serde::Serialize;
use thiserror::Error;

pub use codes::CodeEntry;

problems! {
    /// An error in the user's files. The user must act, except for [`Problem::Internal`].
    #[derive(Clone, Debug, PartialEq, Error, Serialize)]
    #[serde(tag = "code", rename_all = "kebab-case")]
    #[allow(missing_docs)] // The message shows what each field is.
    pub enum Problem {
        /// The file is not valid YAML, or nests deeper than the parser allows.
        /// Example: `nodes: [encode` without the closing bracket.
        /// Cure: Fix the text at the underlined place. Indent with spaces, and quote text that contains `: ` or begins
        /// with a special character.
        #[error("{text}")]
        Syntax { text: String },
        /// The file is valid YAML, but of another kind than the command or the key needs.
        /// Example: `model: train.yaml` in a pipeline: a training where a model is needed.
        /// Cure: Name a file of the right kind. A pipeline has `nodes`, a model `streams` or `from`, a training `stages`,
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
        /// A name cannot be used: names of nodes, streams and files must be printable, without dots, spaces and slashes.
        /// Example: A node with the name `a.b`; the dot separates a node from its port.
        /// Cure: Choose another name.
        #[error("`{name}` cannot be a name: {reason}")]
        BadName { name: String, reason: String },
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
        /// `train` of a stage names something that its objective cannot train.
        /// Example: `train: joint` with objective `reconstruct`, where `joint` is a denoiser; `reconstruct` trains a
        /// stream.
        /// Cure: Name something that the objective trains, or choose another objective.
        #[error("objective `{objective}` trains a {what}, but there is no {what} `{name}`{hint}")]
        NotTrainable { objective: String, what: String, name: String, hint: Hint },
        /// A component is not written as `plugin/component`.
        /// Example: `codec: png`.
        /// Cure: Write plugin and component, for example `codec: PLUGIN/png`. `anyflow plugin list` shows both.
        #[error("`{text}` is not of the form `plugin/component`{hint}")]
        NotAComponent { text: String, hint: Hint },
        /// A codec stands where a module is needed, or the other way round.
        /// Example: `module: PLUGIN/png`, where `png` is a codec.
        /// Cure: Name a component of the other kind. `anyflow plugin info PLUGIN` lists both.
        #[error("`{component}` is a {found}, but a {expected} is needed here")]
        WrongComponent { component: String, found: String, expected: String },
        /// A module lacks a role that is needed here.
        /// Example: `decode: PLUGIN/embedder`, which can only embed.
        /// Cure: Use a module with this role. `anyflow plugin info PLUGIN` lists the roles.
        #[error("module `{component}` cannot {role}; it can {can}")]
        NoRole { component: String, role: String, can: String },
        /// A node names a component that no stream or prompt of the model uses.
        /// Example: `encode: PLUGIN/other` with a model whose streams use `PLUGIN/autoencoder`.
        /// Cure: Name the component of a stream, or use this component in the model.
        #[error("no {what} of the model uses `{component}`{hint}")]
        UnusedComponent { what: &'static str, component: String, hint: Hint },
        /// A parameter of a component has no default, and the shapes do not determine it.
        /// Example: A module with a parameter `hidden` without a default.
        /// Cure: Write the component as a mapping and set the parameter: `{use: PLUGIN/module, hidden: 64}`.
        #[error("parameter `{parameter}` of `{component}` has no default and does not follow from the shapes; set it")]
        MissingParameter { component: String, parameter: String },
        /// Two connected things differ in shape, dtype, range or modality.
        /// Example: A codec that makes [1, 28, 28] with a module that takes [3, 32, 32].
        /// Cure: Change one of the two: another component, other parameters, or another `latent`.
        #[error("{what} do not match: {one}, but {other}")]
        Mismatch { what: &'static str, one: String, other: String },
        /// A node takes another type than the node that it reads from makes.
        /// Example: `decode` that reads from a prompt.
        /// Cure: Read from a node of the needed type, or put a node between them that converts.
        #[error("{to} takes {wanted}, but `{from}` is {found}")]
        EdgeMismatch { to: String, wanted: String, from: String, found: String },
        /// A reference `node.port` names a port that the node does not have.
        /// Example: `from: joint.lfet`, where `joint` generates `left` and `right`.
        /// Cure: Name a port of the node: a stream that it generates, or `label` and `scores` of `score`.
        #[error("`{node}` has no port `{port}`{hint}")]
        UnknownPort { node: String, port: String, hint: Hint },
        /// A node has several ports, and the reference names none.
        /// Example: `from: joint`, where `joint` generates two streams.
        /// Cure: Write `node.port`, as the message shows.
        #[error("`{node}` has named ports; write {choices}")]
        PortWanted { node: String, choices: String },
        /// Nodes read from each other in a circle, so none of them can run first.
        /// Example: `a` reads from `b`, and `b` reads from `a`.
        /// Cure: Remove one of the references.
        #[error("these nodes form a cycle: {}", .nodes.join(" -> "))]
        Cycle { nodes: Vec<String> },
        /// Pipelines use each other in a circle, so none of them can be put together.
        /// Example: `use: other.yaml` in a pipeline that `other.yaml` uses.
        /// Cure: Remove one of the `use`, or copy the nodes that both need into a third pipeline.
        #[error("these pipelines use each other: {}", .files.join(" -> "))]
        UseCycle { files: Vec<String> },
        /// Several things fit, and the file does not say which one is meant.
        /// Example: Two denoisers over the same stream, and a node without `denoiser`.
        /// Cure: Name one of the candidates with the key that the message names.
        #[error("{what} is ambiguous: {}; {remedy}", .candidates.join(", "))]
        Ambiguous { what: String, candidates: Vec<String>, remedy: String },
        /// No denoiser of the model has all the streams that a node or task names.
        /// Example: `diffuse: [x, y]` with one denoiser over `x` and another over `y`.
        /// Cure: Name streams of one denoiser, or add a denoiser over all of them to the model.
        #[error("no denoiser of the model has all the streams {}{hint}", .streams.join(", "))]
        NoDenoiser { streams: Vec<String>, hint: Hint },
        /// A table lacks a column that a stage or task reads.
        /// Example: A stage that trains a denoiser over two streams, on a table with the column of one.
        /// Cure: Add the column to `columns` of the table, or train fewer streams.
        #[error("table `{table}` has no column for {wanted}, which {reader} reads")]
        MissingColumn { table: String, wanted: String, reader: String },
        /// A table takes columns from several sources, but no column says which rows belong together.
        /// Example: `columns: {x: one.x, y: two.y}` without `join`.
        /// Cure: Add `join: COLUMN`, a column that all sources have.
        #[error("{table} takes columns from {} and needs a `join`", .sources.join(" and "))]
        NoJoin { table: String, sources: Vec<String> },
        /// A reference to a column is not of the form `source.column`.
        /// Example: `columns: {x: pixels}`.
        /// Cure: Write the name of the source, a dot, and the name of the column.
        #[error("`{text}` is not of the form `source.column`{hint}")]
        NotAColumn { text: String, hint: Hint },
        /// The keys are valid one by one, but do not make sense together. The message says why.
        /// Example: `guidance: {kind: joint}` where one stream is generated.
        /// Cure: Change what the message names.
        #[error("{text}")]
        Impossible { text: String },
        /// A task of an evaluation generates a stream that no judge can score.
        /// Example: `generate: [x]` without `x` under `judges`.
        /// Cure: Add a judge for the stream, or list the stream under `marginalize`.
        #[error("task `{task}` generates `{stream}`, but `judges` has no `{stream}`")]
        NoJudge { task: String, stream: String },
        /// Judges have different numbers of classes, so their classes cannot be compared.
        /// Example: One judge with 10 classes and one with 12.
        /// Cure: Use judges of the same classes.
        #[error("judge `{one}` has {one_classes} classes, but judge `{other}` has {other_classes}")]
        ClassesMismatch { one: String, one_classes: i64, other: String, other_classes: i64 },
        /// An override (`--set`) cannot be applied.
        /// Example: `--set joint.sampler.steps.a=1`, where `steps` is a number.
        /// Cure: Write a path of keys that exist, and a value of the form that the key needs.
        #[error("cannot override `{path}`: {reason}{hint}")]
        BadOverride { path: String, reason: String, hint: Hint },
        /// The dataset lacks a column that the pipeline reads.
        /// Example: An input `photo` and a dataset without a column `photo`.
        /// Cure: Name the column with `column:` of the input, or rename it in the dataset.
        #[error("input `{input}` reads column `{column}`, which the dataset does not have{hint}")]
        NoSuchColumn { input: String, column: String, hint: Hint },
        /// A column of the dataset holds cells of another kind than the codec reads.
        /// Example: A column of strings where the codec reads bytes.
        /// Cure: Read another column, or use a codec for this kind of cells.
        #[error("input `{input}` needs cells of kind {wanted}, but column `{column}` holds {found}")]
        WrongCells { input: String, column: String, wanted: String, found: String },
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
