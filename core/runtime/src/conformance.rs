//! Checks a plugin: loads its library as a session does, and runs the SDK's test kit on its components.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyflow_datasets::{Cell, Dataset};
use anyflow_plan::descriptor::{CellKind, PluginDescriptor};
use anyflow_plan::event::Checked;
use anyflow_plan::order::{CheckOrder, Sample};
use anyflow_plan::plan::FILES;
use anyflow_sdk::testkit::{Check, CheckEvent, Kit, let_through};
use anyflow_sdk::{OwnedCell, OwnedList};
use crossbeam::channel::{Receiver, RecvTimeoutError, bounded};
use serde_json::{Value, json};

use crate::events::Events;
use crate::plugin::watch::warm_up;
use crate::plugin::{LoadedPlugins, TextFiles, allow_only};
use crate::{Result, RunError, process};

/// Rows taken from a dataset of samples.
const SAMPLE_ROWS: u64 = 8;

/// Runs the test kit and sends an event after each check. Returns the number of checks and of failed ones.
///
/// # Errors
/// A sample cannot be read. A faulty plugin is not an error; its checks fail.
pub fn check(order: &CheckOrder, events: &Events) -> Result<Value> {
    let timeout = Duration::from_secs(order.timeout_secs);
    if let Some(hashes) = &order.plugins_allowed {
        allow_only(hashes.iter().cloned());
    }
    let (steps, watched) = bounded(16);
    let watched = &watched;
    thread::scope(|scope| {
        let builder = thread::Builder::new().name("watchdog".into());
        let (is_ready, ready) = bounded(1);
        let watchdog = move || {
            warm_up();
            let _ = is_ready.send(());
            watch(watched, timeout, events);
        };
        builder.spawn_scoped(scope, watchdog).map_err(|e| internal(&e))?;
        let _ = ready.recv();
        events.enter("load", Some(&order.library));
        let _ = steps.send(Started::new("", "load"));
        let plugin = match LoadedPlugins::default().load(&order.library) {
            Ok(plugin) => plugin,
            Err(RunError::Library { text, .. }) => {
                events.checked(plugin_check("load", "failed", text));
                return Ok(json!({"checks": 1, "failed": 1}));
            }
            Err(other) => return Err(other),
        };
        events.checked(plugin_check("load", "passed", "library, versions and descriptor fit".into()));
        let name = &plugin.descriptor.plugin;
        events.checked(floats_check(plugin.keeps_floats));
        let kit = configured(Kit::new(plugin.entry).alone(), order, &plugin.descriptor)?;
        let checks = kit.run(|step| match step {
            CheckEvent::Begin { component, check } => {
                events.enter(format!("{component} {check}").trim(), Some(name));
                let _ = steps.send(Started::new(component, check));
            }
            CheckEvent::End(check) => events.checked(component_check(check)),
        });
        let failed = checks.iter().filter(|c| c.outcome == anyflow_sdk::testkit::Outcome::Failed).count();
        drop(steps);
        Ok(json!({"checks": checks.len() + 2, "failed": failed + usize::from(!plugin.keeps_floats)}))
    })
}

/// A check that has started.
struct Started {
    component: String,
    check: String,
}

impl Started {
    fn new(component: &str, check: &str) -> Self {
        Started { component: component.into(), check: check.into() }
    }
}

/// Ends the process if a check takes too long: a thread that is stuck inside a plugin cannot be stopped.
fn watch(steps: &Receiver<Started>, timeout: Duration, events: &Events) {
    let mut current: Option<Started> = None;
    loop {
        match steps.recv_timeout(timeout) {
            Ok(step) => current = Some(step),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                if let Some(Started { component, check }) = current {
                    let_through();
                    let text = format!("still not done after {} s", timeout.as_secs());
                    events.checked(Checked { component, check, outcome: "failed".into(), text });
                    events.done(json!({"timed_out": true}));
                    process::end(0);
                }
            }
        }
    }
}

/// Adds the parameters and samples of an order to a test kit.
fn configured(mut kit: Kit, order: &CheckOrder, descriptor: &PluginDescriptor) -> Result<Kit> {
    for (component, parameters) in &order.parameters {
        for (name, value) in parameters {
            let value = match value.as_str().filter(|_| name == FILES) {
                Some(path) => TextFiles::read(Path::new(path))?.texts.into(),
                None => value.clone(),
            };
            kit = kit.parameter(component, name, value);
        }
    }
    for sample in &order.samples {
        for cell in cells(sample, descriptor)? {
            kit = kit.sample(&sample.component, cell);
        }
    }
    Ok(kit)
}

/// The cells of a sample: those of a column, or the whole file as one cell.
fn cells(sample: &Sample, descriptor: &PluginDescriptor) -> Result<Vec<OwnedCell>> {
    let Sample { component, file, column } = sample;
    let codec = descriptor.codecs.iter().find(|codec| codec.id == *component);
    let codec =
        codec.ok_or_else(|| RunError::Data(format!("plugin {} has no codec `{component}`", descriptor.plugin)))?;
    let path = Path::new(file);
    if let Some(column) = column {
        let dataset = Dataset::open(&[path.to_path_buf()])?;
        let mut cells = Vec::new();
        for batch in dataset.read(Some(&[column.as_str()]), 0..SAMPLE_ROWS.min(dataset.rows()), SAMPLE_ROWS as usize)? {
            let batch = batch?;
            let column = dataset.cells(&batch, column)?;
            for row in 0..column.len() {
                cells.extend(column.get(row)?.map(owned).transpose()?);
            }
        }
        return Ok(cells);
    }
    let bytes = std::fs::read(path).map_err(RunError::io(path))?;
    match codec.cell {
        CellKind::Bytes => return Ok(vec![OwnedCell::Bytes(bytes)]),
        CellKind::Files => return Ok(vec![OwnedCell::Files(vec![bytes])]),
        _ => {}
    }
    let wrong = || RunError::Data(format!("{file}: is not a {} cell, which codec `{component}` needs", codec.cell));
    let text = String::from_utf8(bytes).map_err(|_| wrong())?;
    let text = text.trim_end_matches(['\n', '\r']);
    Ok(vec![match codec.cell {
        CellKind::I64 => OwnedCell::I64(text.trim().parse().map_err(|_| wrong())?),
        CellKind::F64 => OwnedCell::F64(text.trim().parse().map_err(|_| wrong())?),
        _ => OwnedCell::Utf8(text.into()),
    }])
}

fn owned(cell: Cell<'_>) -> Result<OwnedCell> {
    Ok(match cell {
        Cell::Bytes(bytes) => OwnedCell::Bytes(bytes.into()),
        Cell::Utf8(text) => OwnedCell::Utf8(text.into()),
        Cell::I64(value) => OwnedCell::I64(value),
        Cell::F64(value) => OwnedCell::F64(value),
        Cell::List(list) => {
            let made = OwnedList::from_parts(list.depth(), list.values().to_vec(), list.lengths().to_vec());
            OwnedCell::List(made.map_err(|error| RunError::Data(error.to_string()))?)
        }
        Cell::Files(files) => OwnedCell::Files(files.iter().map(|file| file.to_vec()).collect()),
    })
}

/// The result of the `load-floats` check.
fn floats_check(keeps_floats: bool) -> Checked {
    if keeps_floats {
        return plugin_check("load-floats", "passed", "loading keeps the thread's floating-point settings".into());
    }
    let text = "loading changed the thread's floating-point settings; link without -ffast-math, which changes them";
    plugin_check("load-floats", "failed", text.into())
}

fn component_check(check: &Check) -> Checked {
    let Check { component, check, outcome, text } = check;
    Checked { component: component.clone(), check: (*check).into(), outcome: outcome.to_string(), text: text.clone() }
}

/// A check of the plugin as a whole.
fn plugin_check(check: &str, outcome: &str, text: String) -> Checked {
    Checked { component: String::new(), check: check.into(), outcome: outcome.into(), text }
}

fn internal(error: &std::io::Error) -> RunError {
    RunError::Internal(format!("cannot start a thread: {error}"))
}
