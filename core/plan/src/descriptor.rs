//! Descriptors of plugins, which are the JSON in the descriptor section of a library file, and of generators.
//!
//! The planner sees plugins only through these values; others read them from files. Unknown keys and roles are ignored,
//! since a later minor version of the ABI may add some.

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The descriptor of a plugin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PluginDescriptor {
    /// The name of the plugin in pipelines: the part before the slash in `plugin/component`.
    pub plugin: String,
    /// The plugin's own version.
    pub version: String,
    /// ABI version `[major, minor]` that it was built with.
    pub abi: [u16; 2],
    /// SPDX expression.
    pub license: String,
    /// One line for people.
    pub summary: String,
    /// Exact libtorch version that it was built with; `None` if no module needs libtorch.
    #[serde(default)]
    pub libtorch: Option<String>,
    /// Codecs: raw cells to arrays and back.
    pub codecs: Vec<CodecDescriptor>,
    /// Modules: differentiable networks.
    pub modules: Vec<ModuleDescriptor>,
}

/// A generator of sources.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneratorDescriptor {
    /// One line for people, without a full stop.
    pub summary: String,
    /// JSON Schema of its own keys, as in [`CodecDescriptor::parameters`], each with a `description`. A string of the format
    /// `source` names a source of files.
    pub parameters: IndexMap<String, Value>,
}

/// Generators by name.
pub type Generators = IndexMap<String, GeneratorDescriptor>;

/// A codec: cell <-> array.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CodecDescriptor {
    /// Name inside the plugin.
    pub id: String,
    /// The modality, an opaque word here.
    pub modality: String,
    /// One line for people.
    pub summary: String,
    /// Physical kind of a cell.
    pub cell: CellKind,
    /// Hugging Face feature of written cells, for example `Value(string)`; opaque here.
    pub feature: String,
    /// The array of a cell, without the row axis.
    pub array: PortDescriptor,
    /// JSON Schema of the parameters: name -> property schema (`type`, `default`, `minimum`, ...).
    pub parameters: IndexMap<String, Value>,
}

/// The interface of a module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Interface {
    /// `anyflow.torch/1`: libtorch tensors; gradients flow, so it can be trained.
    #[default]
    Torch,
    /// `anyflow.array/1`: arrays in host memory, for inference only.
    Array,
    /// An interface of a later version.
    Other(String),
}

impl Interface {
    /// Its id in descriptors.
    pub fn id(&self) -> &str {
        match self {
            Interface::Torch => "anyflow.torch/1",
            Interface::Array => "anyflow.array/1",
            Interface::Other(id) => id,
        }
    }

    fn is_default(&self) -> bool {
        *self == Interface::default()
    }
}

impl From<String> for Interface {
    fn from(id: String) -> Self {
        [Interface::Torch, Interface::Array].into_iter().find(|own| own.id() == id).unwrap_or(Interface::Other(id))
    }
}

impl From<Interface> for String {
    fn from(interface: Interface) -> Self {
        interface.id().into()
    }
}

/// A module: one computation with one set of parameters, playing one or several roles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModuleDescriptor {
    /// Name inside the plugin.
    pub id: String,
    /// The modality, an opaque word here.
    pub modality: String,
    /// One line for people.
    pub summary: String,
    /// Its interface.
    #[serde(default, skip_serializing_if = "Interface::is_default")]
    pub interface: Interface,
    /// Roles with their ports.
    #[serde(deserialize_with = "known_roles")]
    pub roles: Vec<RoleDescriptor>,
    /// JSON Schema of the parameters, as in [`CodecDescriptor::parameters`].
    pub parameters: IndexMap<String, Value>,
}

/// The known roles; others are skipped.
fn known_roles<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RoleDescriptor>, D::Error> {
    let all = Vec::<Value>::deserialize(deserializer)?;
    let is_known = |role: &Value| !role["role"].is_string() || Role::deserialize(&role["role"]).is_ok();
    let known = all.into_iter().filter(is_known).map(RoleDescriptor::deserialize);
    known.collect::<Result<_, _>>().map_err(serde::de::Error::custom)
}

/// One role of a module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoleDescriptor {
    /// The role.
    pub role: Role,
    /// The input, without the row axis.
    pub input: PortDescriptor,
    /// The output, without the row axis.
    pub output: PortDescriptor,
}

/// A role of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Array -> latent.
    Encode,
    /// Latent -> array.
    Decode,
    /// Array -> conditioning tokens.
    Embed,
    /// Latent -> shared space.
    Align,
    /// Array or latent -> scores.
    Score,
    /// Array or latent -> features from which the scores are computed.
    Features,
    /// Array or latent -> embedding whose squared Euclidean distance is a perceptual distance.
    Perceptual,
    /// Array -> vector of the whole.
    Pool,
}

/// Physical kind of a raw cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CellKind {
    /// Encoded bytes of a file.
    Bytes,
    /// A string.
    Utf8,
    /// An integer.
    I64,
    /// A real number.
    F64,
    /// Numbers in nested lists of this depth.
    List(u32),
    /// Encoded bytes of any number of files, in order.
    Files,
}

/// Shape, dtype and range at a port. The row axis comes first and is not listed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PortDescriptor {
    /// Element type: `f32`, `i64`, `u8`, ...
    pub dtype: String,
    /// Named axes, slowest first.
    pub axes: Vec<AxisDescriptor>,
    /// Smallest and largest value, if bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
}

/// One named axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AxisDescriptor {
    /// Name for people and for messages.
    pub name: String,
    /// A number, or the name of a parameter.
    pub size: AxisSize,
}

/// Size of an axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AxisSize {
    /// Fixed.
    Fixed(i64),
    /// The value of an integer parameter, or the length of a list parameter.
    Parameter(String),
}
