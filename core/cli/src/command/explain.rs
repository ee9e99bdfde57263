//! `anyflow explain`.

use anyflow_plan::CodeEntry;
use anyflow_plan::reference::{self, KeyEntry, Section};
use anyflow_weights::{CODES, WeightsCode};

use crate::console::CommandResult;
use crate::error::{CliError, Result};
use crate::generators;

/// Arguments of `anyflow explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Key or kind of the YAML files, or code of an error, e.g. observe, diffuse.observe, ddim, sampler.ddim.eta or
    /// unknown-key
    key: String,
}

/// Prints value, default and meaning of a key, and a shipped file that uses it; or cause, example and cure of an error.
///
/// # Errors
/// An unknown key or code.
pub fn run(args: &Args) -> Result<CommandResult> {
    if let Some(code) = codes().find(|code| code.code == args.key) {
        let json = serde_json::to_value(&code).map_err(CliError::internal)?;
        return Ok(CommandResult::done(problem(&code), json));
    }
    let sections = reference::find(&args.key, &generators::descriptors()).map_err(|hint| {
        let hint = match hint.suggestion {
            Some(name) => format!("; did you mean `{name}`?"),
            None => "; pipelines/REFERENCE.md lists all keys".into(),
        };
        CliError::Usage(format!("unknown key `{}`{hint}", args.key))
    })?;
    let json = serde_json::to_value(&sections).map_err(CliError::internal)?;
    let parts: Vec<String> = sections.iter().map(text).collect();
    Ok(CommandResult::done(parts.join("\n"), json))
}

/// The codes of the planner and of weights files.
fn codes() -> impl Iterator<Item = CodeEntry> {
    let of_weights = CODES.iter().map(|WeightsCode { code, cause, example, cure }| CodeEntry {
        code: (*code).into(),
        cause: (*cause).into(),
        example: (*example).into(),
        cure: (*cure).into(),
    });
    anyflow_plan::codes().into_iter().chain(of_weights)
}

fn problem(code: &CodeEntry) -> String {
    let rows = [("example", Some(code.example.clone())), ("cure", Some(code.cure.clone()))];
    lines(&code.code, &code.cause, &rows)
}

fn text(section: &Section) -> String {
    let mut parts = Vec::new();
    if section.is_kind() && !section.about.is_empty() {
        parts.push(lines(&section.name, &section.about, &[("used in", section.used_in.clone())]));
    }
    parts.extend(section.keys.iter().map(entry));
    parts.join("\n")
}

fn entry(entry: &KeyEntry) -> String {
    let rows =
        [("value", Some(entry.value.clone())), ("default", entry.default_text()), ("used in", entry.used_in.clone())];
    lines(&entry.key, &entry.about, &rows)
}

fn lines(name: &str, about: &str, rows: &[(&str, Option<String>)]) -> String {
    let mut out = format!("{name}\n  {about}\n");
    for (word, value) in rows {
        if let Some(value) = value {
            out.push_str(&format!("  {word:<8} {value}\n"));
        }
    }
    out
}
