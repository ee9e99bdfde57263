//! `anyflow plugin list` and `info`.

use anyflow_plan::descriptor::{AxisDescriptor, AxisSize, PluginDescriptor, PortDescriptor};
use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::catalog::{Found, InstalledPlugins};
use crate::command::{quoted, table};
use crate::console::CommandResult;
use crate::error::{CliError, Result};
use crate::libtorch;

/// Lists all plugins, one per line.
pub fn list(plugins: &InstalledPlugins) -> CommandResult {
    let head = ["plugin", "version", "license", "abi", "libtorch", "codecs and modules", "blake3", "state"];
    let mut rows = vec![head.map(String::from).to_vec()];
    rows.extend(plugins.found.iter().map(|(name, found)| {
        let descriptor = &found.descriptor;
        let state = found.refusal.as_ref().map_or("ok".into(), |refusal| format!("refused: {refusal}"));
        vec![
            name.clone(),
            descriptor.version.clone(),
            descriptor.license.clone(),
            abi(descriptor),
            descriptor.libtorch.clone().unwrap_or_else(|| "-".into()),
            components(descriptor).join(", "),
            found.hash.clone(),
            state,
        ]
    }));
    let ours = json!({"abi": [anyflow_abi::ABI_MAJOR, anyflow_abi::ABI_MINOR], "libtorch": libtorch::VERSION});
    let broken =
        plugins.broken.iter().map(|broken| json!({"path": broken.path.display().to_string(), "reason": broken.reason}));
    let json = json!({
        "plugins": plugins.found.values().map(entry).collect::<Vec<_>>(),
        "broken": broken.collect::<Vec<_>>(),
        "host": ours,
    });
    if plugins.found.is_empty() {
        return CommandResult::done("no plugins found; set ANYFLOW_PLUGINS to the folder of your plugins", json);
    }
    CommandResult::done(table(&rows), json)
}

/// A plugin as JSON.
pub fn entry(found: &Found) -> Value {
    json!({
        "path": found.path,
        "hash": found.hash,
        "needs": found.needs,
        "refused": found.refusal.as_ref().map(ToString::to_string),
        "descriptor": found.descriptor,
    })
}

/// Shows one plugin.
///
/// # Errors
/// There is no plugin of that name.
pub fn info(plugins: &InstalledPlugins, name: &str) -> Result<CommandResult> {
    let unknown = || {
        let names: Vec<&str> = plugins.found.keys().map(String::as_str).collect();
        CliError::Usage(format!("there is no plugin `{name}`; found: {}; {}", names.join(", "), plugins.searched()))
    };
    let found = plugins.found.get(name).ok_or_else(unknown)?;
    Ok(CommandResult::done(described(found), entry(found)))
}

fn described(found: &Found) -> String {
    let PluginDescriptor { plugin, version, license, summary, libtorch, codecs, modules, .. } = &found.descriptor;
    let mut text = format!("{plugin} {version}: {summary}\n");
    let libtorch = libtorch.as_deref().unwrap_or("not needed");
    text += &format!("  file      {}\n  blake3    {}\n", quoted(&found.path), found.hash);
    text += &format!("  needs     {}\n  abi       {}\n", found.needs.join(", "), abi(&found.descriptor));
    text += &format!("  libtorch  {libtorch}\n  license   {license}\n");
    if let Some(refusal) = &found.refusal {
        text += &format!("  refused   {refusal}\n");
    }
    for codec in codecs {
        let array = port(&codec.array);
        let feature = &codec.feature;
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
    let axis = |axis: &AxisDescriptor| match &axis.size {
        AxisSize::Fixed(size) => format!("{} {size}", axis.name),
        AxisSize::Parameter(name) if *name == axis.name => name.clone(),
        AxisSize::Parameter(name) => format!("{} {name}", axis.name),
    };
    let axes: Vec<String> = port.axes.iter().map(axis).collect();
    let range = port.range.map(|[low, high]| format!(" in [{low}, {high}]")).unwrap_or_default();
    format!("{} [{}]{range}", port.dtype, axes.join(", "))
}

/// A line per parameter: name, type with bounds, default, description.
fn parameters(parameters: &IndexMap<String, Value>) -> String {
    let row = |(name, schema): (&String, &Value)| {
        let default = match schema.get("default") {
            Some(value) => format!("default {value}"),
            None => "inferred from connections, or required".into(),
        };
        let meaning = schema["description"].as_str().unwrap_or_default();
        vec!["  parameter".into(), name.clone(), kind(schema), default, meaning.into()]
    };
    table(&parameters.iter().map(row).collect::<Vec<_>>())
}

/// `integer 1 to 720`, `number above 0`, `one of "a", "b"`, `array of string`.
fn kind(schema: &Value) -> String {
    if let Some(words) = schema["enum"].as_array() {
        return format!("one of {}", words.iter().map(Value::to_string).collect::<Vec<_>>().join(", "));
    }
    let mut text = schema["type"].as_str().unwrap_or("any").to_string();
    if let Some(items) = schema["items"]["type"].as_str() {
        text += &format!(" of {items}");
    }
    let bounds = [
        ("minimum", "from"),
        ("exclusiveMinimum", "above"),
        ("maximum", "to"),
        ("exclusiveMaximum", "below"),
        ("minItems", "of at least"),
        ("maxItems", "of at most"),
        ("minLength", "of at least"),
        ("maxLength", "of at most"),
    ];
    for (key, word) in bounds {
        if let Some(limit) = schema.get(key) {
            text += &format!(" {word} {limit}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_shown_with_type_bounds_default_and_meaning() {
        let schema = json!({
            "n": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3, "description": "how many"},
            "words": {"type": "array", "items": {"type": "string"}, "minItems": 2},
            "mode": {"enum": ["a", "b"], "default": "a"},
        });
        let shown = parameters(&serde_json::from_value(schema).unwrap());
        let lines: Vec<Vec<&str>> =
            shown.lines().map(|l| l.trim().split("  ").map(str::trim).filter(|w| !w.is_empty()).collect()).collect();
        assert_eq!(lines[0], ["parameter", "n", "integer from 1 to 9", "default 3", "how many"]);
        assert_eq!(
            lines[1],
            ["parameter", "words", "array of string of at least 2", "inferred from connections, or required"]
        );
        assert_eq!(lines[2], ["parameter", "mode", "one of \"a\", \"b\"", "default \"a\""]);
    }
}
