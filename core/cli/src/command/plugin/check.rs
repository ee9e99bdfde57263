//! `anyflow plugin check`: runs the test kit on a plugin's library, in a separate engine process that a bad plugin may
//! kill.

use std::path::{Path, PathBuf};

use anyflow_plan::event::Checked;
use anyflow_plan::order::{CheckOrder, Sample};
use serde_json::{Value, json};

use super::show::entry;
use crate::allow;
use crate::catalog::{CatalogError, Found, InstalledPlugins};
use crate::command::table;
use crate::console::CommandResult;
use crate::engine;
use crate::error::{CliError, Result};
use crate::order::{absolute, plugins_allowed};
use crate::progress::Progress;
use crate::supervise::EngineFailure;

/// Arguments of `anyflow plugin check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plugin's library file
    library: PathBuf,
    /// Cell to test a codec with, in addition to those decoded from random arrays: a file, or a column of a Parquet
    /// file (repeatable)
    #[arg(long, value_name = "CODEC=FILE[:COLUMN]")]
    sample: Vec<String>,
    /// Parameter to test a component with, e.g. `words.vocabulary=["", "one"]` (repeatable); the others keep their
    /// defaults
    #[arg(long, value_name = "COMPONENT.PARAMETER=VALUE")]
    set: Vec<String>,
    /// Seconds after which a check fails
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
}

/// Runs the test kit.
///
/// # Errors
/// The file or a sample cannot be read, or the engine or libtorch is missing. Failed checks are not an error, but a result
/// with exit code 3.
pub fn run(args: &Args) -> Result<CommandResult> {
    std::fs::metadata(&args.library).map_err(CliError::read(&args.library))?;
    let order = order(args)?;
    let plugins = InstalledPlugins::in_folders(allow::hashes().map_err(CatalogError::from)?, [args.library.clone()])?;
    let found = plugins.found.into_values().next();
    let before = match (&found, plugins.broken.into_iter().next()) {
        (_, Some(broken)) => Some(failed("file", broken.reason)),
        (Some(Found { refusal: Some(refusal), .. }), _) => Some(failed("versions", refusal.to_string())),
        _ => None,
    };
    let checks = match before {
        Some(check) => vec![check],
        None => checks(&order)?,
    };
    Ok(outcome(&args.library, found.as_ref(), &checks))
}

fn order(args: &Args) -> Result<CheckOrder> {
    let mut order = CheckOrder {
        library: absolute(&args.library)?,
        timeout_secs: args.timeout,
        plugins_allowed: plugins_allowed()?,
        ..Default::default()
    };
    for text in &args.set {
        let split = text.split_once('=').and_then(|(name, value)| Some((name.split_once('.')?, value)));
        let ((component, parameter), value) =
            split.ok_or_else(|| CliError::Usage(format!("--set {text}: write COMPONENT.PARAMETER=VALUE")))?;
        // A value that is not JSON is a string.
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        order.parameters.entry(component.into()).or_default().insert(parameter.into(), value);
    }
    for text in &args.sample {
        let (component, file) = text
            .split_once('=')
            .ok_or_else(|| CliError::Usage(format!("--sample {text}: write CODEC=FILE or CODEC=FILE:COLUMN")))?;
        let (file, column) = match file.rsplit_once(':') {
            Some((file, column)) if !Path::new(&text[component.len() + 1..]).exists() => {
                (file, Some(column.to_string()))
            }
            _ => (file, None),
        };
        std::fs::metadata(file).map_err(CliError::read(file))?;
        order.samples.push(Sample { component: component.into(), file: absolute(Path::new(file))?, column });
    }
    Ok(order)
}

/// The checks of the engine, and if it died, a failed check that says how.
fn checks(order: &CheckOrder) -> Result<Vec<Checked>> {
    let launch = engine::Launch { order, arguments: &["--check", "-"], threads: 1 };
    let mut progress = Progress::Checks(Vec::new());
    let ended = engine::execute(&launch, &mut progress);
    let Progress::Checks(mut checks) = progress else { return Err(CliError::internal("the checks are lost")) };
    match ended {
        Ok(_) => Ok(checks),
        Err(CliError::Engine(EngineFailure::Died(death))) if death.last().0.is_some() => {
            let (node, how) = death.last();
            let (component, check) = node.and_then(|node| node.rsplit_once(' ')).unwrap_or(("", node.unwrap_or("")));
            checks.push(Checked { component: component.into(), ..failed(check, how + "; later checks did not run") });
            Ok(checks)
        }
        Err(other) => Err(other),
    }
}

fn failed(check: &str, text: String) -> Checked {
    Checked { component: String::new(), check: check.into(), outcome: "failed".into(), text }
}

fn outcome(library: &Path, found: Option<&Found>, checks: &[Checked]) -> CommandResult {
    let count = |outcome: &str| checks.iter().filter(|check| check.outcome == outcome).count();
    let [passed, failed, skipped] = ["passed", "failed", "skipped"].map(count);
    let rows: Vec<Vec<String>> = checks
        .iter()
        .map(|Checked { component, check, outcome, text }| {
            let component = if component.is_empty() { "plugin" } else { component };
            // One line per check: an error text may have several.
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            vec![outcome.clone(), component.into(), check.clone(), text]
        })
        .collect();
    let name = found.map_or_else(
        || library.display().to_string(),
        |found| format!("{} {}", found.descriptor.plugin, found.descriptor.version),
    );
    let text = format!("{}{name}: {passed} passed, {failed} failed, {skipped} skipped", table(&rows));
    let json = json!({
        "plugin": found.map(entry),
        "checks": checks,
        "passed": passed,
        "failed": failed,
        "skipped": skipped,
    });
    CommandResult { text, json, code: if failed > 0 { 3 } else { 0 } }
}
