//! Models: streams, prompts and denoisers.

use std::fmt;

use anyflow_config::{Auxiliary, Network, Parameterization, Precision, ScheduleConfig};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::prompt::{EncodedPrompt, JoinedVectors, PairConfig, PromptConfig};
use super::value::{Component, Type};
use crate::descriptor::Role;
use crate::keymap::is_file;

/// A model: streams, prompts and denoisers, and the file with their weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// The YAML it came from.
    pub source: String,
    /// The license of its weights, as published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Its weights; `None` while training, and if no part has any.
    pub checkpoint: Option<Checkpoint>,
    /// Streams in the order of the file.
    pub streams: IndexMap<String, Stream>,
    /// Prompts in the order of the file. No prompt has the name of a stream.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub prompts: IndexMap<String, PromptConfig>,
    /// Denoisers in the order of the file.
    pub denoisers: IndexMap<String, DenoiserConfig>,
    /// Scorers that compare two prompts.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub scorers: IndexMap<String, PairConfig>,
}

impl Model {
    /// True if a part of it may have weights; a stream without a module has none.
    pub fn has_networks(&self) -> bool {
        let parts = self.prompts.len() + self.denoisers.len() + self.scorers.len();
        parts > 0 || self.streams.values().any(|stream| stream.module.is_some())
    }

    /// What the codec of a stream or prompt declares of its cells, such as `Value(string)`.
    pub fn feature(&self, stream: &str) -> Option<&str> {
        let cells = self.streams.get(stream).map(|stream| &stream.cells);
        cells.or_else(|| self.prompts.get(stream).map(PromptConfig::cells))?.feature()
    }

    /// The arrays of a column of a stream or prompt, by name. A prompt that is made of others has one for each of them.
    pub fn arrays(&self, name: &str) -> IndexMap<String, ArrayMaker> {
        let by_codec = |part: &str| (self.array_of(name, part), ArrayMaker::Codec(part.to_string()));
        match self.prompts.get(name) {
            Some(PromptConfig::Joined(joined)) => joined.features.iter().map(|part| by_codec(part)).collect(),
            Some(PromptConfig::Numbers(numbers)) => [(name.to_string(), ArrayMaker::Numbers(numbers.numbers))].into(),
            _ => [by_codec(name)].into(),
        }
    }

    /// The array of a column that the module of `part` reads: a stream, a prompt, or one of those that a prompt is made of.
    pub fn array_of(&self, name: &str, part: &str) -> String {
        let is_joined = matches!(self.prompts.get(name), Some(PromptConfig::Joined(_)));
        if is_joined { format!("{name}.{part}") } else { name.to_string() }
    }

    /// A prompt that a module encodes.
    pub fn encoded(&self, prompt: &str) -> Option<&EncodedPrompt> {
        self.prompts.get(prompt)?.encoded()
    }
}

/// What makes an array of cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArrayMaker {
    /// The codec of this stream or prompt.
    Codec(String),
    /// Nothing: the cells are lists of this many numbers.
    Numbers(i64),
}

/// The weights of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Checkpoint {
    /// One safetensors file with all weights, as a training writes it.
    File(String),
    /// Prefix of names of weights -> the file that holds them, for published weights.
    Parts(IndexMap<String, WeightsPart>),
}

impl Checkpoint {
    /// The files, each as often as it is named.
    pub fn files(&self) -> Vec<&String> {
        match self {
            Checkpoint::File(file) => vec![file],
            Checkpoint::Parts(parts) => parts.values().map(|part| &part.from).collect(),
        }
    }

    /// All paths, those of key maps included, to change them.
    pub fn paths_mut(&mut self) -> Vec<&mut String> {
        match self {
            Checkpoint::File(file) => vec![file],
            Checkpoint::Parts(parts) => parts.values_mut().flat_map(WeightsPart::paths_mut).collect(),
        }
    }
}

/// The files, separated by commas.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: Vec<&str> = self.files().into_iter().map(String::as_str).collect();
        f.write_str(&files.join(", "))
    }
}

/// A part of a file of weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeightsPart {
    /// Safetensors or PyTorch file, index of several files, or folder.
    pub from: String,
    /// Name of the part in that file: the prefix of its weights. Empty for the whole file.
    pub part: String,
    /// Key map: a built-in one by name, or a file. Without one names differ by their prefix alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<String>,
}

impl WeightsPart {
    /// Its file, and its key map if that is a file.
    fn paths_mut(&mut self) -> impl Iterator<Item = &mut String> {
        std::iter::once(&mut self.from).chain(self.map.iter_mut().filter(|map| is_file(map)))
    }
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
    /// Array <-> latent. Without one the array is the latent.
    pub module: Option<Component>,
    /// The role that makes the latent: `encode`, or `embed` or `features` for a module that cannot decode.
    #[serde(default = "encode", skip_serializing_if = "is_encode")]
    pub by: Role,
    /// Shape of the latent.
    pub latent: Vec<i64>,
    /// By default that of its denoiser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleConfig>,
}

fn encode() -> Role {
    Role::Encode
}

fn is_encode(role: &Role) -> bool {
    *role == Role::Encode
}

/// A network over one or several streams.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DenoiserConfig {
    /// Its streams.
    pub over: Vec<String>,
    /// Its auxiliary streams, which it never diffuses.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub companions: IndexMap<String, Auxiliary>,
    /// Prompts that it attends to, all of the same shape.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompts: Vec<String>,
    /// Streams whose latents are concatenated to the channels of its own, never diffused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub planes: Vec<String>,
    /// Vectors that join the embedding of the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vectors: Option<JoinedVectors>,
    /// The layers.
    pub network: Network,
    /// What the network predicts.
    pub predict: Parameterization,
    /// For all streams without their own schedule.
    pub schedule: ScheduleConfig,
    /// Number format of the network's matrix products.
    pub precision: Precision,
}
