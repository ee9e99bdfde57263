//! `anyflow doctor`.

use std::path::Path;

use anyflow_plan::style::Style;
use serde_json::{Value, json};

use super::{bytes, plugin, table};
use crate::catalog::{InstalledPlugins, PluginRefusal};
use crate::console::{CommandResult, Console};
use crate::error::Result;
use crate::libtorch::{self, Libtorch};
use crate::{engine, order};

/// Arguments of `anyflow doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Free disk space below which `doctor` warns.
const LITTLE_DISK_BYTES: u64 = 1_000_000_000;

/// The result of one check.
struct Finding {
    name: &'static str,
    state: State,
    text: String,
    json: Value,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Good,
    Odd,
    Bad,
}

impl Finding {
    fn new(name: &'static str, state: State, text: impl Into<String>, json: Value) -> Self {
        Finding { name, state, text: text.into(), json }
    }
}

/// Checks everything that a run needs. The exit code is 1 if a run cannot work.
///
/// # Errors
/// None: problems are findings.
pub fn run(_args: &Args, console: &Console) -> Result<CommandResult> {
    let findings = [libtorch(), engine(), cuda(), plugins(), disk(), threads()];
    let bad = findings.iter().any(|finding| finding.state == State::Bad);
    let rows: Vec<_> = findings.iter().map(|f| vec![mark(f.state, console), f.name.into(), f.text.clone()]).collect();
    let state = |state| ["good", "odd", "bad"][state as usize];
    let entry = |f: &Finding| (f.name.to_string(), json!({"state": state(f.state), "text": f.text, "detail": f.json}));
    let mut json: Value = Value::Object(findings.iter().map(entry).collect());
    json["ready"] = Value::Bool(!bad);
    let last = if bad { "fix the items marked ✗ first" } else { "everything is ready" };
    Ok(CommandResult { text: format!("{}{last}", table(&rows)), json, code: u8::from(bad) })
}

fn mark(state: State, console: &Console) -> String {
    let (mark, style) = match state {
        State::Good => ("✓", Style::Green),
        State::Odd => ("!", Style::Yellow),
        State::Bad => ("✗", Style::Red),
    };
    console.painted(mark, style)
}

fn libtorch() -> Finding {
    match Libtorch::find() {
        Err(error) => Finding::new("libtorch", State::Bad, error.to_string(), Value::Null),
        Ok(found) => {
            let version = found.version();
            let fits = version.as_deref().is_some_and(|v| v.split('+').next() == Some(libtorch::VERSION));
            let shown = version.as_deref().unwrap_or("of unknown version");
            let text = format!("{shown} in {} (from {})", found.root.display(), found.found_by);
            if !fits {
                let text = format!("{text}; this Anyflow needs {}: run `cargo xtask setup`", libtorch::VERSION);
                return Finding::new("libtorch", State::Bad, text, found.json());
            }
            match found.exposure() {
                None => Finding::new("libtorch", State::Good, text, found.json()),
                Some(why) => Finding::new("libtorch", State::Odd, format!("{text}; {why}"), found.json()),
            }
        }
    }
}

fn cuda() -> Finding {
    match Libtorch::find() {
        Ok(found) if found.has_cuda() => {
            Finding::new("cuda", State::Good, "libtorch_cuda.so found: --device cuda is available", json!(true))
        }
        _ => Finding::new("cuda", State::Good, "no libtorch_cuda.so: only --device cpu", json!(false)),
    }
}

fn engine() -> Finding {
    let bad = |text: String| Finding::new("engine", State::Bad, text, Value::Null);
    let program = match engine::find() {
        Ok(program) => program,
        Err(error) => return bad(error.to_string()),
    };
    let Ok(libtorch) = Libtorch::find() else { return bad("cannot start without libtorch".into()) };
    match engine::versions(&program, &libtorch) {
        Ok(versions) => {
            let text = |key: &str| versions[key].as_str().unwrap_or("?").to_string();
            let ours = env!("CARGO_PKG_VERSION");
            let theirs = text("anyflow");
            let shown = format!("{theirs} for libtorch {} in {}", text("libtorch"), program.display());
            if ours == theirs {
                return Finding::new("engine", State::Good, shown, versions);
            }
            Finding::new(
                "engine",
                State::Bad,
                format!("{shown}, but this program is {ours}; use the same release of both"),
                versions,
            )
        }
        Err(error) => bad(format!("{}: {error}", program.display())),
    }
}

fn plugins() -> Finding {
    let plugins = match InstalledPlugins::discover() {
        Ok(plugins) => plugins,
        Err(error) => return Finding::new("plugins", State::Bad, error.to_string(), Value::Null),
    };
    let broken = plugins.broken.iter().map(|broken| format!("{}: {}", broken.path.display(), broken.reason));
    let refused = plugins.found.iter().filter_map(|(name, found)| Some(format!("{name}: {}", found.refusal.as_ref()?)));
    let odd: Vec<String> = broken.chain(refused).chain(plugins.notes.iter().cloned()).collect();
    let names: Vec<String> =
        plugins.found.iter().map(|(name, found)| format!("{name} {}", found.descriptor.version)).collect();
    let json = plugins.found.values().map(plugin::show::entry).collect();
    if !odd.is_empty() {
        let broken = plugins.found.values().any(|found| found.refusal.as_ref().is_some_and(PluginRefusal::is_broken));
        let state = if broken { State::Bad } else { State::Odd };
        return Finding::new("plugins", state, format!("{}; {}", names.join(", "), odd.join("; ")), json);
    }
    if names.is_empty() {
        let text = "none found; set ANYFLOW_PLUGINS to the folder of your plugins";
        return Finding::new("plugins", State::Odd, text, json);
    }
    Finding::new("plugins", State::Good, names.join(", "), json)
}

fn disk() -> Finding {
    match free_bytes(Path::new(".")) {
        Some(free) => {
            let state = if free < LITTLE_DISK_BYTES { State::Odd } else { State::Good };
            Finding::new(
                "disk",
                state,
                format!("{} free in the current folder", bytes(free)),
                json!({"free_bytes": free}),
            )
        }
        None => Finding::new("disk", State::Good, "free space is unknown on this system", Value::Null),
    }
}

fn threads() -> Finding {
    let threads = order::threads(None);
    let settings: Vec<String> = engine::OPENMP.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let text = format!("{threads}; the engine is started with {} and OMP_NUM_THREADS={threads}", settings.join(" "));
    Finding::new("threads", State::Good, text, json!({"threads": threads, "openmp": engine::OPENMP[0].1}))
}

#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<u64> {
    let space = rustix::fs::statvfs(folder).ok()?;
    Some(space.f_bavail * space.f_frsize)
}

#[cfg(not(unix))]
fn free_bytes(_folder: &Path) -> Option<u64> {
    None
}
