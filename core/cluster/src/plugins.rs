//! The plugins of a job by their hashes: a worker refuses a job that was made with others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{ClusterError, Result};

/// A plugin on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Its file.
    pub path: String,
    /// Blake3 of the file, in hexadecimal.
    pub hash: String,
}

/// The plugins that `anyflow plugin list` finds on this machine, by name.
///
/// # Errors
/// The program cannot be run.
pub fn installed(anyflow: &Path) -> Result<BTreeMap<String, Installed>> {
    let listed = answer(anyflow, &["plugin", "list"])?;
    let plugins = listed["plugins"].as_array().cloned().unwrap_or_default();
    let entry = |plugin: &Value| {
        let text = |value: &Value| value.as_str().map(str::to_string);
        let name = text(&plugin["descriptor"]["plugin"])?;
        Some((name, Installed { path: text(&plugin["path"])?, hash: text(&plugin["hash"])? }))
    };
    Ok(plugins.iter().filter_map(entry).collect())
}

/// What a command of `anyflow` prints with `--json`.
///
/// # Errors
/// It cannot be run, or prints no JSON.
pub fn answer(anyflow: &Path, arguments: &[&str]) -> Result<Value> {
    let mut command = std::process::Command::new(anyflow);
    let output = command.arg("--json").args(arguments).output();
    let output = output.map_err(|error| ClusterError::Usage(format!("{}: {error}", anyflow.display())))?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr);
        ClusterError::Usage(format!("{} {}: {}", anyflow.display(), arguments.join(" "), said.trim()))
    })
}

/// The program `anyflow`: the one that a variable names, else the one next to this program.
pub fn anyflow() -> PathBuf {
    let named = std::env::var_os("ANYFLOW_PROGRAM").filter(|path| !path.is_empty()).map(PathBuf::from);
    named.unwrap_or_else(|| std::env::current_exe().unwrap_or_default().with_file_name("anyflow"))
}

/// The hashes of the libraries in a job, by the plugin's name.
///
/// # Errors
/// A library cannot be read.
pub fn of_job(job: &Value) -> Result<BTreeMap<String, String>> {
    let mut libraries = BTreeMap::new();
    let mut job = job.clone();
    each_library(&mut job, &mut |plugin, library| drop(libraries.insert(plugin.to_string(), library.clone())));
    let hash = |(plugin, library): (String, String)| {
        let bytes = std::fs::read(&library).map_err(|error| ClusterError::Usage(format!("{library}: {error}")))?;
        Ok((plugin, blake3::hash(&bytes).to_hex().to_string()))
    };
    libraries.into_iter().map(hash).collect()
}

/// How the plugins that are installed differ from those of a job; `None` if they do not.
pub fn difference(wanted: &BTreeMap<String, String>, installed: &BTreeMap<String, Installed>) -> Option<String> {
    let short = |hash: &str| hash.get(..12).unwrap_or(hash).to_string();
    let differs = |(plugin, hash): (&String, &String)| match installed.get(plugin) {
        None => Some(format!("plugin `{plugin}` is missing")),
        Some(found) if found.hash != *hash => {
            Some(format!("plugin `{plugin}` has the hash {}, but the job has {}", short(&found.hash), short(hash)))
        }
        Some(_) => None,
    };
    let found: Vec<String> = wanted.iter().filter_map(differs).collect();
    (!found.is_empty()).then(|| found.join(", "))
}

/// Puts the libraries of this machine in place of those in a job.
pub fn localize(job: &mut Value, installed: &BTreeMap<String, Installed>) {
    each_library(job, &mut |plugin, library| {
        if let Some(found) = installed.get(plugin) {
            library.clone_from(&found.path);
        }
    });
}

/// Calls `with` for the plugin and the library of each component.
fn each_library(value: &mut Value, with: &mut impl FnMut(&str, &mut String)) {
    match value {
        Value::Object(fields) => {
            let plugin = fields.get("plugin").and_then(Value::as_str).map(str::to_string);
            if let (Some(plugin), Some(Value::String(library))) = (plugin, fields.get_mut("library")) {
                with(&plugin, library);
            }
            fields.values_mut().for_each(|field| each_library(field, with));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_library(item, with)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn libraries_of_this_machine_take_the_place_of_others() {
        let mut job = json!({"streams": [{"codec": {"plugin": "a", "library": "/far/a.so"}}], "b": {"plugin": "b"}});
        let here = BTreeMap::from([("a".to_string(), Installed { path: "/here/a.so".into(), hash: "1".into() })]);
        localize(&mut job, &here);
        assert_eq!(job["streams"][0]["codec"]["library"], "/here/a.so");
    }

    #[test]
    fn a_missing_or_other_plugin_is_named() {
        let here = BTreeMap::from([("a".to_string(), Installed { path: "/here/a.so".into(), hash: "1".into() })]);
        let wanted = |name: &str, hash: &str| BTreeMap::from([(name.to_string(), hash.to_string())]);
        assert_eq!(difference(&wanted("a", "1"), &here), None);
        assert_eq!(difference(&wanted("b", "1"), &here).unwrap(), "plugin `b` is missing");
        assert!(difference(&wanted("a", "2"), &here).unwrap().contains("has the hash 1, but the job has 2"));
    }
}
