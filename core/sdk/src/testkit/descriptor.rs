//! The descriptor, as a host reads it from a plugin file.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::outcome::{Unmet, Verdict};
use crate::abi::{codec, torch};

#[derive(Deserialize)]
pub(super) struct Plugin {
    pub plugin: String,
    pub version: String,
    pub abi: [u16; 2],
    pub license: String,
    pub summary: String,
    pub libtorch: Option<String>,
    pub codecs: Vec<Codec>,
    pub modules: Vec<Module>,
}

#[derive(Deserialize)]
pub(super) struct Codec {
    pub id: String,
    pub modality: String,
    pub summary: String,
    #[serde(deserialize_with = "word")]
    pub cell: String,
    pub feature: String,
    pub array: Port,
    pub parameters: Map<String, Value>,
}

#[derive(Deserialize)]
pub(super) struct Module {
    pub id: String,
    pub modality: String,
    pub summary: String,
    #[serde(default = "torch_interface")]
    pub interface: String,
    pub roles: Vec<Role>,
    pub parameters: Map<String, Value>,
}

fn torch_interface() -> String {
    torch::ID.into()
}

#[derive(Deserialize)]
pub(super) struct Role {
    pub role: String,
    pub input: Port,
    pub output: Port,
}

#[derive(Deserialize)]
pub(super) struct Port {
    pub dtype: String,
    pub axes: Vec<Axis>,
    pub range: Option<[f64; 2]>,
}

#[derive(Deserialize)]
pub(super) struct Axis {
    pub name: String,
    pub size: Size,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Size {
    Fixed(i64),
    Parameter(String),
}

impl Port {
    /// Its range, or a default range to draw from.
    pub fn bounds(&self) -> [f64; 2] {
        self.range.unwrap_or(match self.dtype.as_str() {
            "u8" => [0.0, 255.0],
            "i64" => [0.0, 1.0],
            _ => [-2.0, 2.0],
        })
    }

    /// Sizes of its axes with these parameters.
    pub fn sizes(&self, parameters: &Map<String, Value>) -> Result<Vec<i64>, String> {
        let size = |axis: &Axis| match &axis.size {
            Size::Fixed(size) => Ok(*size),
            Size::Parameter(name) => parameters
                .get(name)
                .and_then(|value| value.as_array().map(|list| list.len() as i64).or_else(|| value.as_i64()))
                .ok_or_else(|| format!("the size of axis `{}` is not a number: parameter `{name}`", axis.name)),
        };
        self.axes.iter().map(size).collect()
    }

    /// The parameters that give sizes.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.axes.iter().filter_map(|axis| match &axis.size {
            Size::Fixed(_) => None,
            Size::Parameter(name) => Some(name.as_str()),
        })
    }

    fn check(&self, of: &str, parameters: &Map<String, Value>) -> Result<(), String> {
        if !["f32", "i64", "u8"].contains(&self.dtype.as_str()) {
            return Err(format!("{of} has dtype `{}`; use f32, i64 or u8", self.dtype));
        }
        if let Some([low, high]) = self.range.filter(|[low, high]| low >= high) {
            return Err(format!("{of} has the range [{low}, {high}]; the first number must be smaller"));
        }
        let mut names = BTreeSet::new();
        for Axis { name, size } in &self.axes {
            if name.is_empty() || !names.insert(name) {
                return Err(format!("{of} has an axis `{name}`, whose name is empty or used twice"));
            }
            let known = match size {
                Size::Fixed(size) => *size > 0,
                Size::Parameter(parameter) => {
                    matches!(parameters.get(parameter).and_then(|p| p["type"].as_str()), Some("integer" | "array"))
                }
            };
            if !known {
                return Err(format!(
                    "the size of axis `{name}` of {of} is neither positive nor a parameter of type integer or array"
                ));
            }
        }
        Ok(())
    }
}

/// Checks what every reader of a descriptor relies on.
pub(super) fn check(plugin: &Plugin) -> Verdict {
    let Plugin { plugin: name, version, abi, license, summary, libtorch, codecs, modules } = plugin;
    let mut ids = BTreeSet::new();
    let heads = codecs.iter().map(|c| (&c.id, &c.modality, &c.summary));
    for (id, modality, summary) in heads.chain(modules.iter().map(|m| (&m.id, &m.modality, &m.summary))) {
        if id.is_empty() || !ids.insert(id) {
            return Err(format!("component name `{id}` is empty or used twice").into());
        }
        if modality.is_empty() || summary.is_empty() {
            return Err(format!("`{id}` has no modality or no summary").into());
        }
    }
    if [name, version, license, summary].iter().any(|text| text.is_empty()) {
        return Err("name, version, license or summary is empty".into());
    }
    if ids.is_empty() {
        return Err("it has neither codecs nor modules".into());
    }
    let needs_libtorch = modules.iter().any(|module| module.interface == torch::ID);
    if needs_libtorch != libtorch.is_some() {
        return Err(format!(
            "libtorch is {libtorch:?}; a plugin names a version if and only if it has modules of {}",
            torch::ID
        )
        .into());
    }
    for Codec { id, cell, feature, array, parameters, .. } in codecs {
        if feature.is_empty() || cell.is_empty() {
            return Err(format!("codec `{id}` of {} has no cell kind or no feature", codec::ID).into());
        }
        array.check(&format!("the array of `{id}`"), parameters)?;
    }
    for Module { id, roles, parameters, .. } in modules {
        if roles.is_empty() {
            return Err(format!("module `{id}` has no role").into());
        }
        for Role { role, input, output } in roles {
            input.check(&format!("the input of {role} of `{id}`"), parameters)?;
            output.check(&format!("the output of {role} of `{id}`"), parameters)?;
        }
    }
    Ok::<_, Unmet>(format!("{name} {version}, ABI {}.{}, {} components", abi[0], abi[1], ids.len()))
}

/// The cell kind as messages name it: `bytes`, or `list 2` for `{"list": 2}`.
fn word<'de, D: serde::Deserializer<'de>>(kind: D) -> Result<String, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Kind {
        Plain(String),
        List { list: u32 },
    }
    Ok(match <Kind as serde::Deserialize>::deserialize(kind)? {
        Kind::Plain(word) => word,
        Kind::List { list } => format!("list {list}"),
    })
}
