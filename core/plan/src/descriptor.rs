//! What a plugin says of itself: the JSON that lies in the descriptor section of its library file.
//!
//! The planner sees plugins only as these values. Who reads them out of a file is not its business. Keys and roles that are
//! not known are passed over: a later minor of the ABI may say more of a plugin, and what is known of it still holds.

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// A plugin's whole description.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PluginDescriptor {
    /// Name by which pipelines call the plugin, e.g. the part before the slash in `plugin/component`.
    pub plugin: String,
    /// The plugin's own version.
    pub version: String,
    /// ABI `[major, minor]` that it was built against.
    pub abi: [u16; 2],
    /// SPDX expression.
    pub license: String,
    /// One line for people.
    pub summary: String,
    /// Exact libtorch version that it was built for; `None` for a plugin without modules that need it.
    #[serde(default)]
    pub libtorch: Option<String>,
    /// Codecs: raw cells to arrays and back.
    pub codecs: Vec<CodecDescriptor>,
    /// Modules: differentiable networks.
    pub modules: Vec<ModuleDescriptor>,
}

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
    /// Hugging Face feature that decoded cells are written as (`Value(string)` and the like); opaque here.
    pub feature: String,
    /// The array that a cell becomes, without the row axis.
    pub array: PortDescriptor,
    /// JSON Schema of the parameters: name -> property schema (`type`, `default`, `minimum`, ...).
    pub parameters: IndexMap<String, Value>,
}

/// How a module is called across the border.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Interface {
    /// `anyflow.torch/1`: libtorch tensors; gradients flow, so it can be trained.
    #[default]
    Torch,
    /// `anyflow.array/1`: arrays in host memory, for inference only.
    Array,
    /// One that a later Anyflow knows.
    Other(String),
}

impl Interface {
    /// Its id at the border.
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
    /// How it is called.
    #[serde(default, skip_serializing_if = "Interface::is_default")]
    pub interface: Interface,
    /// Roles with their ports.
    #[serde(deserialize_with = "known_roles")]
    pub roles: Vec<RoleDescriptor>,
    /// JSON Schema of the parameters, as in [`CodecDescriptor::parameters`].
    pub parameters: IndexMap<String, Value>,
}

/// The roles whose words are known.
fn known_roles<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RoleDescriptor>, D::Error> {
    let all = Vec::<Value>::deserialize(deserializer)?;
    let is_known = |role: &Value| !role["role"].is_string() || Role::deserialize(&role["role"]).is_ok();
    let known = all.into_iter().filter(is_known).map(RoleDescriptor::deserialize);
    known.collect::<Result<_, _>>().map_err(serde::de::Error::custom)
}

/// One role of a module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoleDescriptor {
    /// Which one.
    pub role: Role,
    /// What goes in, without the row axis.
    pub input: PortDescriptor,
    /// What comes out, without the row axis.
    pub output: PortDescriptor,
}

/// What a module can be asked for.
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
    /// Array or latent -> features that scores are read from.
    Features,
    /// Array or latent -> numbers whose squared differences, summed, are a perceptual distance.
    Perceptual,
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
    /// Numbers in nested lists, so many levels deep.
    List(u32),
    /// Encoded bytes of any number of files, in order.
    Files,
}

/// Shape, dtype and range of what crosses a port; the row axis comes first and is not listed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PortDescriptor {
    /// Element type, by its libtorch name in short: `f32`, `i64`, `u8`.
    pub dtype: String,
    /// Named axes, slowest first.
    pub axes: Vec<AxisDescriptor>,
    /// Smallest and largest value, when bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
}

/// One named axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AxisDescriptor {
    /// Name for people and for messages.
    pub name: String,
    /// Number, or the name of a parameter that gives it.
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
