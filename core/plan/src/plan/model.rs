//! Models: streams, prompts and denoisers, and the types of the values that pass between them.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::descriptor::{CellKind, Role};

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
