//! `anyflow-engine ORDER.json` executes one job and sends its events as frames of JSON. `anyflow-engine --check ORDER.json`
//! checks a plugin, `anyflow-engine --survey ORDER.json` surveys a dataset, `anyflow-engine --weights ORDER.json` lists the
//! weights that a model wants, and `anyflow-engine serve ORDER.json` answers calls on a socket until it is ended. `-` reads the
//! order from standard input. Users call `anyflow` instead.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyflow_plan::order::{CheckOrder, Order, WeightsOrder};
use anyflow_plan::service::ServeOrder;
use anyflow_plan::survey::SurveyOrder;
use anyflow_runtime::RunError;
use anyflow_runtime::events::Events;
use anyflow_runtime::trace::Timeline;
use anyflow_runtime::{front, process};
use serde_json::Value;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

const USAGE: &str = "usage: anyflow-engine [serve | --check | --survey | --weights] ORDER.json; `anyflow run`, `anyflow serve`, `anyflow plugin \
                     check` and `anyflow data survey` write the order and start this program";

/// The command line.
#[derive(Default)]
struct Arguments {
    version: bool,
    check: bool,
    survey: bool,
    weights: bool,
    serve: bool,
    order: Option<PathBuf>,
    /// The file descriptor of the front's table of calls.
    calls: Option<i32>,
}

impl Arguments {
    fn read(mut arguments: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut found = Arguments::default();
        while let Some(argument) = arguments.next() {
            match argument.to_str() {
                Some("--version") => found.version = true,
                Some("--check") => found.check = true,
                Some("--survey") => found.survey = true,
                Some("--weights") => found.weights = true,
                Some("serve") => found.serve = true,
                Some("--calls") => {
                    let number = arguments.next().and_then(|number| number.to_str()?.parse().ok());
                    found.calls = Some(number.filter(|number| *number > 2).ok_or(USAGE)?);
                }
                _ if found.order.is_none() => found.order = Some(argument.into()),
                _ => return Err(USAGE.into()),
            }
        }
        Ok(found)
    }

    /// True if a front started this process: then the end of the front's pipe ends this process and its group.
    fn has_front(&self) -> bool {
        self.order.as_deref() == Some(Path::new("-"))
    }
}

fn main() {
    let arguments = Arguments::read(std::env::args_os().skip(1));
    let end: fn() -> ! =
        if arguments.as_ref().is_ok_and(Arguments::has_front) { process::end_group } else { || process::end(1) };
    let events = match front::take_output() {
        Ok(out) => Events::new(out, move || end()),
        Err(error) => {
            eprintln!("cannot open a file descriptor for events: {error}");
            process::end(1)
        }
    };
    let result = arguments.map_err(RunError::Data).and_then(|arguments| {
        let refused = |error| RunError::Internal(format!("--calls: {error}"));
        process::prepare(arguments.calls).map_err(refused)?;
        execute(&arguments, &events)
    });
    let code = match result {
        Ok(result) => {
            events.done(result);
            0
        }
        Err(error) => {
            events.failed(error.fault(), error.to_string());
            error.fault().exit_code()
        }
    };
    process::end(code)
}

fn execute(arguments: &Arguments, events: &Events) -> Result<Value, RunError> {
    if arguments.version {
        return Ok(anyflow_runtime::versions());
    }
    let path = arguments.order.as_deref().ok_or_else(|| RunError::Data(USAGE.into()))?;
    match arguments {
        Arguments { check: true, .. } => check(path, events),
        Arguments { survey: true, .. } => survey(path, events),
        Arguments { weights: true, .. } => weights(path),
        Arguments { serve: true, .. } => serve(path, events),
        _ => run(path, events),
    }
}

fn check(path: &Path, events: &Events) -> Result<Value, RunError> {
    let (order, _): (CheckOrder, _) = front::order(path)?;
    tch::set_num_threads(1);
    start_tracing(None);
    anyflow_runtime::conformance::check(&order, events)
}

fn survey(path: &Path, events: &Events) -> Result<Value, RunError> {
    let (order, _): (SurveyOrder, _) = front::order(path)?;
    tch::set_num_threads(1);
    start_tracing(None);
    serde_json::to_value(anyflow_runtime::survey(&order, events)?).map_err(|e| RunError::Internal(e.to_string()))
}

fn weights(path: &Path) -> Result<Value, RunError> {
    let (order, _): (WeightsOrder, _) = front::order(path)?;
    tch::set_num_threads(1);
    start_tracing(None);
    anyflow_runtime::weights_wanted::list(&order)
}

fn serve(path: &Path, events: &Events) -> Result<Value, RunError> {
    let (order, _): (ServeOrder, _) = front::order(path)?;
    start_tracing(None);
    anyflow_runtime::serve(&order, events)
}

fn run(path: &Path, events: &Events) -> Result<Value, RunError> {
    let (order, given): (Order, _) = front::order(path)?;
    start_tracing(order.trace.as_ref().map(|path| Timeline::create(Path::new(path))).transpose()?);
    anyflow_runtime::execute(&order, &given, events)
}

/// Writes the log to standard error, filtered by `ANYFLOW_LOG` (default `warn`), and spans to the timeline.
fn start_tracing(timeline: Option<Timeline>) {
    let filter = EnvFilter::try_from_env("ANYFLOW_LOG").unwrap_or_else(|_| "warn".into());
    // The front shows control characters of the log by their codes, those of colours too.
    let log = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(std::io::stderr).with_filter(filter);
    tracing_subscriber::registry().with(log).with(timeline).init();
}
