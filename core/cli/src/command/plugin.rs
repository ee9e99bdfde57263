//! `anyflow plugin`.

use anyflow_plan::descriptor::{AxisSize, PluginDescriptor, PortDescriptor};
use clap::Subcommand;
use indexmap::IndexMap;
use serde_json::{Value, json};

use super::{plugins, shown, table};
use crate::catalog::{Found, Plugins};
use crate::console::{Console, Outcome};
use crate::error::{CliError, Result};
use crate::libtorch;

/// The commands of `anyflow plugin`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the plugins that are found
    List,
    /// Show everything that a plugin says of itself
    Info {
        /// Name of the plugin
        name: String,
    },
}

/// Does one of them.
///
/// # Errors
/// Two plugins of one name, or no plugin of the given name.
pub fn run(command: &Command, console: &Console) -> Result<Outcome> {
    let plugins = plugins(console)?;
    match command {
        Command::List => Ok(list(&plugins)),
        Command::Info { name } => info(&plugins, name),
    }
}

fn list(plugins: &Plugins) -> Outcome {
    let head = ["plugin", "version", "abi", "libtorch", "codecs and modules", "state", "blake3"];
    let mut rows = vec![head.map(String::from).to_vec()];
    rows.extend(plugins.found.iter().map(|(name, found)| {
        let descriptor = &found.descriptor;
        let state = found.refusal.as_ref().map_or("ok".into(), |refusal| format!("refused: {refusal}"));
        vec![
            name.clone(),
            descriptor.version.clone(),
            abi(descriptor),
            descriptor.libtorch.clone().unwrap_or_else(|| "-".into()),
            components(descriptor).join(", "),
            state,
            found.hash.clone(),
        ]
    }));
    let ours = json!({"abi": [anyflow_abi::ABI_MAJOR, anyflow_abi::ABI_MINOR], "libtorch": libtorch::VERSION});
    let broken = plugins.broken.iter().map(|broken| json!({"path": broken.path, "reason": broken.reason}));
    let json = json!({
        "plugins": plugins.found.values().map(entry).collect::<Vec<_>>(),
        "broken": broken.collect::<Vec<_>>(),
        "host": ours,
    });
    if plugins.found.is_empty() {
        return Outcome::done("no plugins found; name the folder where they lie in ANYFLOW_PLUGINS", json);
    }
    Outcome::done(table(&rows), json)
}

/// A plugin in one object.
pub fn entry(found: &Found) -> Value {
    json!({
        "path": found.path,
        "blake3": found.hash,
        "refused": found.refusal.as_ref().map(ToString::to_string),
        "descriptor": found.descriptor,
    })
}

fn info(plugins: &Plugins, name: &str) -> Result<Outcome> {
    let unknown = || {
        let names: Vec<&str> = plugins.found.keys().map(String::as_str).collect();
        CliError::Usage(format!("there is no plugin `{name}`; found: {}", names.join(", ")))
    };
    let found = plugins.found.get(name).ok_or_else(unknown)?;
    Ok(Outcome::done(described(found), entry(found)))
}

fn described(found: &Found) -> String {
    let PluginDescriptor { plugin, version, license, summary, libtorch, codecs, modules, .. } = &found.descriptor;
    let mut text = format!("{plugin} {version}: {summary}\n");
    let libtorch = libtorch.as_deref().unwrap_or("not needed");
    text += &format!("  file      {}\n  abi       {}\n", shown(&found.path), abi(&found.descriptor));
    text += &format!("  libtorch  {libtorch}\n  license   {license}\n  blake3    {}\n", found.hash);
    if let Some(refusal) = &found.refusal {
        text += &format!("  refused   {refusal}\n");
    }
    for codec in codecs {
        let (array, feature) = (port(&codec.array), &codec.feature);
        text += &format!("\ncodec {plugin}/{} ({}): {}\n", codec.id, codec.modality, codec.summary);
        text += &format!("  cells     {:?} as {feature}\n  array     {array}\n", codec.cell);
        text += &parameters(&codec.parameters);
    }
    for module in modules {
        text += &format!("\nmodule {plugin}/{} ({}): {}\n", module.id, module.modality, module.summary);
        for role in &module.roles {
            let name = format!("{:?}", role.role).to_lowercase();
            text += &format!("  {name:9} {} -> {}\n", port(&role.input), port(&role.output));
        }
        text += &parameters(&module.parameters);
    }
    text
}

fn abi(descriptor: &PluginDescriptor) -> String {
    format!("{}.{}", descriptor.abi[0], descriptor.abi[1])
}

fn components(descriptor: &PluginDescriptor) -> Vec<String> {
    let codecs = descriptor.codecs.iter().map(|codec| codec.id.clone());
    codecs.chain(descriptor.modules.iter().map(|module| module.id.clone())).collect()
}

/// `f32 [channel 1, height, width] in [-1, 1]`.
fn port(port: &PortDescriptor) -> String {
    let axis = |axis: &anyflow_plan::descriptor::AxisDescriptor| match &axis.size {
        AxisSize::Fixed(size) => format!("{} {size}", axis.name),
        AxisSize::Parameter(name) if *name == axis.name => name.clone(),
        AxisSize::Parameter(name) => format!("{} {name}", axis.name),
    };
    let axes: Vec<String> = port.axes.iter().map(axis).collect();
    let range = port.range.map(|[low, high]| format!(" in [{low}, {high}]")).unwrap_or_default();
    format!("{} [{}]{range}", port.dtype, axes.join(", "))
}

fn parameters(parameters: &IndexMap<String, Value>) -> String {
    let line = |(name, schema): (&String, &Value)| {
        let kind = schema["type"].as_str().unwrap_or("any");
        let default = schema.get("default").map(|value| format!(", default {value}")).unwrap_or_default();
        let text = schema["description"].as_str().map(|text| format!(": {text}")).unwrap_or_default();
        format!("  parameter {name} ({kind}{default}){text}\n")
    };
    parameters.iter().map(line).collect()
}
