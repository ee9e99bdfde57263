//! The plans: what the engine is handed. Everything is resolved, checked and serializable; nothing is a handle.
//!
//! Three jobs exist: run a pipeline, train, evaluate. All paths are as the engine shall open them.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::descriptor::{CellKind, Role};

/// Version of the serialized form; the engine refuses another.
pub const PLAN_FORMAT: u32 = 1;

/// What the front hands to the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "kebab-case")]
#[expect(clippy::large_enum_variant, reason = "there is one job in a program")]
pub enum Job {
    /// Rows through a pipeline.
    Run(RunPlan),
    /// The stages of a training.
    Train(TrainPlan),
    /// Judged tasks.
    Eval(EvalPlan),
}

/// A codec or module with everything that is needed to make it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Component {
    /// Plugin name.
    pub plugin: String,
    /// Component inside the plugin.
    pub id: String,
    /// Library file.
    pub library: String,
    /// All parameters, defaults filled and shapes inferred: a JSON object.
    pub parameters: Json,
}

/// Modality, dtype and shape of a value; the row axis is not listed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Type {
    /// The modality, an opaque word.
    pub modality: String,
    /// What it is.
    #[serde(flatten)]
    pub form: Form,
}

/// The forms a value can take on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "kebab-case")]
pub enum Form {
    /// Raw cells of a column.
    Cells {
        /// Physical kind.
        cell: CellKind,
        /// Feature they are written as (see [`crate::descriptor::CodecDescriptor::feature`]).
        feature: String,
    },
    /// What a codec makes of cells.
    Array {
        /// Element type.
        dtype: String,
        /// Axis names.
        axes: Vec<String>,
        /// Axis sizes.
        shape: Vec<i64>,
        /// Bounds, if any.
        range: Option<[f64; 2]>,
    },
    /// A stream's latent, as its module makes it (not yet standardised).
    Latent {
        /// The stream.
        stream: String,
        /// Axis sizes.
        shape: Vec<i64>,
    },
    /// What a prompt's module makes.
    Tokens {
        /// The prompt.
        prompt: String,
        /// How many tokens, and how many features each has.
        shape: Vec<i64>,
    },
    /// Scores per class.
    Scores {
        /// Number of classes.
        classes: i64,
    },
}

/// A model: streams and denoisers, and where their weights lie.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// The YAML it came from.
    pub source: String,
    /// Safetensors file with the weights; `None` only while training.
    pub checkpoint: Option<String>,
    /// Streams in the order of the file.
    pub streams: IndexMap<String, Stream>,
    /// What only conditions, in the order of the file; no name is that of a stream.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub prompts: IndexMap<String, Prompt>,
    /// Denoisers in the order of the file.
    pub denoisers: IndexMap<String, Denoiser>,
}

/// One modality's latent inside a joint diffusion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    /// The modality, an opaque word.
    pub modality: String,
    /// Cells <-> array.
    pub codec: Component,
    /// The codec's cells and array.
    pub cells: Type,
    /// The array between codec and module.
    pub array: Type,
    /// Array <-> latent; without one the array itself is diffused.
    pub module: Option<Component>,
    /// What makes the latent of the array: `encode`, or, of a module that does nothing else, `embed` or `features`.
    #[serde(default = "encode", skip_serializing_if = "is_encode")]
    pub by: Role,
    /// Shape of the latent.
    pub latent: Vec<i64>,
    /// `{kind, ...}`, all defaults filled; that of its denoiser if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Json>,
}

fn encode() -> Role {
    Role::Encode
}

fn is_encode(role: &Role) -> bool {
    *role == Role::Encode
}

/// What only conditions: cells that become tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prompt {
    /// The modality, an opaque word.
    pub modality: String,
    /// Cells -> array.
    pub codec: Component,
    /// The codec's cells.
    pub cells: Type,
    /// The array between codec and module.
    pub array: Type,
    /// Array -> tokens.
    pub module: Component,
    /// How many tokens, and how many features each has.
    pub tokens: Vec<i64>,
}

/// A network over one or several streams.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Denoiser {
    /// Its streams.
    pub over: Vec<String>,
    /// Streams that it has beside those and never diffuses, by what ties them to it.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub companions: IndexMap<String, Companion>,
    /// Prompts that it reads, all of one shape.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompts: Vec<String>,
    /// `{kind, ...}`, all defaults filled.
    pub network: Json,
    /// `eps`, `x0`, `v` or `flow`.
    pub predict: String,
    /// `{kind, ...}`, all defaults filled; one for all its streams.
    pub schedule: Json,
    /// `f32` or `bf16`: in what the network multiplies.
    pub precision: String,
}

/// A stream that is added into another one, or read from features, or both.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Companion {
    /// `{into, weight, law, dropout}`, all defaults filled: how its encoding is added into a stream that is diffused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<Json>,
    /// `{reads, network, loss, weight}`, all defaults filled: how it is read from features.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Json>,
}

impl Companion {
    /// Whether it is a class.
    pub fn is_class(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head["loss"] == "cross-entropy")
    }
}

/// A checked pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunPlan {
    /// See [`PLAN_FORMAT`].
    pub format: u32,
    /// The pipeline's name.
    pub name: String,
    /// The YAML it came from.
    pub source: String,
    /// The model.
    pub model: Model,
    /// Columns that are read: input name -> column.
    pub inputs: IndexMap<String, Input>,
    /// Every value that comes to be, by its id: an input's name, or `node.port`, or `node` for a single port.
    pub values: IndexMap<String, Value>,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// Columns that are written: column -> value id (always cells).
    pub outputs: IndexMap<String, String>,
    /// Estimated bytes that a row holds at the peak, all values counted that live at the same time.
    pub bytes_per_row: u64,
}

/// A column to read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// Column name in the dataset.
    pub column: String,
    /// The type its cells must have.
    #[serde(rename = "type")]
    pub kind: Type,
}

/// A value: written once by one step, read by others, then dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Type,
    /// Index of the step that makes it; `None` for an input.
    pub made_by: Option<usize>,
    /// Index of the last step that reads it; `None` if it is only written out.
    pub last_use: Option<usize>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The node of the pipeline it belongs to, for messages.
    pub node: String,
    /// What is done.
    #[serde(flatten)]
    pub op: Op,
}

/// The operations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Op {
    /// Codec, cells -> array, on a worker thread.
    ReadCells {
        /// Stream or prompt whose codec is used.
        stream: String,
        /// Cells.
        from: String,
        /// Array.
        to: String,
    },
    /// Codec, array -> cells, on a worker thread.
    WriteCells {
        /// Stream whose codec is used.
        stream: String,
        /// Array.
        from: String,
        /// Cells.
        to: String,
    },
    /// A module, on the compute thread.
    Module {
        /// Stream or prompt whose module is used.
        stream: String,
        /// `encode`, `decode` or `embed`.
        role: Role,
        /// Array or latent.
        from: String,
        /// Latent, array or tokens.
        to: String,
    },
    /// Diffusion.
    Diffuse {
        /// The denoiser.
        denoiser: String,
        /// Streams to generate that somebody reads: stream -> value id.
        generate: IndexMap<String, String>,
        /// Streams generated along and dropped.
        along: Vec<String>,
        /// Given streams: stream -> value id of a latent.
        observe: IndexMap<String, String>,
        /// Of the given streams, those that are given in part and generated for the rest: stream -> value id of a tensor
        /// of the latent's shape, above 0.5 where elements are given.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        masks: IndexMap<String, String>,
        /// How the network sees streams that are given whole.
        #[serde(default, skip_serializing_if = "Given::is_default")]
        given: Given,
        /// Prompts, mixed by their shares in the sum of weights.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        condition: Vec<Condition>,
        /// `{kind, ...}`, all defaults filled; none for plain predictions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        guidance: Option<Json>,
        /// Streams of the denoiser that take no part.
        absent: Vec<String>,
        /// `{kind, ...}`, all defaults filled.
        sampler: Json,
        /// Seed of the noise.
        seed: u64,
    },
    /// Classes, told by what a diffusion recovers of a stream.
    Score {
        /// The denoiser.
        denoiser: String,
        /// What is recovered, and what it is compared with.
        scoring: Scoring,
        /// Given streams: stream -> value id of a latent.
        observe: IndexMap<String, String>,
        /// Streams of the denoiser that take no part.
        absent: Vec<String>,
        /// `{kind, ...}`, all defaults filled.
        sampler: Json,
        /// Seed of the noise.
        seed: u64,
        /// Value id of the names of the classes that fit best, if somebody reads it.
        label: Option<String>,
        /// Value id of the cosines with all classes, if somebody reads it.
        scores: Option<String>,
    },
}

/// Classes that are told by what is recovered of a stream: the nearest one, by the cosine, of the mean over the draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scoring {
    /// The stream that is recovered.
    pub stream: String,
    /// Class -> the cells of the stream that stand for it; the mean of their directions counts.
    pub classes: IndexMap<String, Vec<String>>,
    /// How often the stream is recovered.
    pub draws: u64,
}

/// A prompt with its weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// The prompt.
    pub prompt: String,
    /// Value id of its tokens.
    pub from: String,
    /// Above 0.
    pub weight: f64,
}

/// How the network sees streams that are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Given {
    /// Clean, at time 0.
    #[default]
    Clean,
    /// Noised anew at each step, at the time of the streams that are generated.
    Noised,
}

impl Given {
    fn is_default(&self) -> bool {
        *self == Given::default()
    }
}

/// A checked training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainPlan {
    /// See [`PLAN_FORMAT`].
    pub format: u32,
    /// The training's name.
    pub name: String,
    /// The YAML it came from.
    pub source: String,
    /// The model; its checkpoint is what is written.
    pub model: Model,
    /// Safetensors file with weights to start from; what it does not hold starts fresh.
    pub start: Option<String>,
    /// Streams, denoisers and scorers that start fresh though that file has their weights.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fresh: Vec<String>,
    /// Parts of the model that start as parts of other files, by name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub take: IndexMap<String, Taken>,
    /// Scorers that are trained beside the model, by name.
    pub scorers: IndexMap<String, Scorer>,
    /// Files: source name -> paths. Those of generated sources are relative to the output folder until they are made.
    pub sources: IndexMap<String, Vec<String>>,
    /// Sources that are generated before anything else is done.
    #[serde(default)]
    pub generated: IndexMap<String, Generated>,
    /// Named tables made of the sources.
    pub data: IndexMap<String, Table>,
    /// The stages in order.
    pub stages: Vec<Stage>,
    /// Seed of everything.
    pub seed: u64,
}

/// A part of a file of weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// Safetensors file.
    pub from: String,
    /// What the part is called there: what its weights' names begin with.
    pub part: String,
}

/// A classifier with a codec of its own, trained apart from the generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scorer {
    /// The stream whose cells and array it judges.
    pub stream: String,
    /// The module, with role `score`; without one the array itself is the scores (a one-hot stream).
    pub module: Option<Component>,
    /// Number of classes.
    pub classes: i64,
    /// Axes of the features that it gives beside the scores, if it does.
    #[serde(default)]
    pub features: Option<Vec<i64>>,
    /// Safetensors file with its weights; `None` only while training.
    pub checkpoint: Option<String>,
}

/// A source that is made out of a seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generated {
    /// The kind, a word that the datasets know.
    pub generate: String,
    /// Rows.
    pub rows: u64,
    /// Seed of everything in them.
    pub seed: u64,
    /// The source whose files hold the shapes that captions are about, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shapes: Option<String>,
    /// Which combinations there are, a word that the datasets know, if it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub combinations: Option<String>,
}

/// Rows made of one or several sources.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The column on which rows of several sources are matched, anew at each step; `None` for a single source.
    pub join: Option<String>,
    /// Stream or prompt -> where its cells come from.
    pub columns: IndexMap<String, ColumnRef>,
    /// Where the class of a row comes from, if asked for.
    pub class: Option<ColumnRef>,
    /// The words of that column in the order of their classes; empty where it holds numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
}

/// A column of a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnRef {
    /// Source name.
    pub source: String,
    /// Column name.
    pub column: String,
}

/// One stage of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// What is trained.
    pub train: Trained,
    /// `{kind, ...}`, all defaults filled: `reconstruct`, `statistics`, `denoise`, `contrast`, `classify`.
    pub objective: Json,
    /// Table that it reads.
    pub data: String,
    /// Optimizer steps.
    pub steps: u64,
    /// Rows a step.
    pub batch: u64,
    /// Rows a network call, at most `batch`; gradients add up to those of the batch.
    pub micro_batch: u64,
    /// `{kind, ...}`: optimizer and learning-rate law, all defaults filled.
    pub optimizer: Json,
    /// Decay of the exponential moving average of the weights; 0 for none.
    pub ema: f64,
    /// Names of the weights of a denoiser that are trained, with `*` for any characters; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<String>,
}

/// What a stage trains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trained {
    /// The module of a stream.
    Stream(String),
    /// A denoiser (its streams' modules are frozen).
    Denoiser(String),
    /// A scorer.
    Scorer(String),
    /// The modules of prompts and streams; what they meet and that is not named stays as it is.
    Prompts(Vec<String>),
    /// Nothing: latent statistics of all streams.
    Statistics,
}

/// A checked evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalPlan {
    /// See [`PLAN_FORMAT`].
    pub format: u32,
    /// The evaluation's name.
    pub name: String,
    /// The YAML it came from.
    pub source: String,
    /// The model.
    pub model: Model,
    /// Judges by stream.
    pub judges: IndexMap<String, Scorer>,
    /// Files: source name -> paths. Those of generated sources are relative to the output folder until they are made.
    pub sources: IndexMap<String, Vec<String>>,
    /// Sources that are generated before anything else is done.
    #[serde(default)]
    pub generated: IndexMap<String, Generated>,
    /// The held-out rows; `class` is the truth.
    pub data: Table,
    /// Stream -> column with the rows that its model was trained on, which the Frechet distance of real rows is taken
    /// from; for other streams the held-out rows are halved.
    #[serde(default)]
    pub reference: IndexMap<String, ColumnRef>,
    /// What is compared, by name; at least one. The first is held to what tasks ask for.
    pub variants: IndexMap<String, Variant>,
    /// Rows a task.
    pub rows: u64,
    /// Seeds; figures are given with their spread.
    pub seeds: Vec<u64>,
    /// What is asked, by name.
    pub tasks: IndexMap<String, Task>,
    /// Stream -> the prompt by which what is generated of it is compared with other streams.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub similarity: IndexMap<String, String>,
    /// Whether tasks that generate several streams are asked for each of them by itself as well, from the same noise.
    #[serde(default)]
    pub independent: bool,
    /// Tasks conditioned on two prompts, whose rows are of different classes and whose weights go from (1, 0) to (0, 1).
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub conflicts: IndexMap<String, Task>,
}

/// A model and a way to sample it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// The model, if it is another than the evaluation's, with the same codecs.
    pub model: Option<Model>,
    /// Safetensors files with weights in place of those of the model's checkpoint, the later ones last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<String>,
    /// What reads the cells of streams that are given, where it is not the model's codec: by stream.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub codecs: IndexMap<String, Component>,
    /// The denoiser that is asked.
    pub denoiser: String,
    /// `{kind, ...}`, all defaults filled.
    pub sampler: Json,
    /// How the network sees streams that are given, if other than the tasks say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<Given>,
}

/// One question to the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Streams generated and judged.
    pub generate: Vec<String>,
    /// Streams generated along and not judged.
    pub along: Vec<String>,
    /// Streams given from the data.
    pub observe: Vec<String>,
    /// Streams that begin from rows of others, whose arrays are of the same form, where the sampler begins late.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub start: IndexMap<String, String>,
    /// Prompts made from the data, with their weights.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub condition: IndexMap<String, f64>,
    /// Streams that take no part.
    pub absent: Vec<String>,
    /// `{kind, ...}`, all defaults filled; none for plain predictions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guidance: Option<Json>,
    /// How the network sees streams that are given.
    #[serde(default, skip_serializing_if = "Given::is_default")]
    pub given: Given,
    /// Least coherence that is asked for, if any: below it, the evaluation fails.
    pub at_least: Option<f64>,
    /// Least share of rows that are nearest to their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest_at_least: Option<f64>,
    /// What is told instead of generated; without classes, which row's own value the recovered one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Scoring>,
}
