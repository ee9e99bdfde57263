//! `anyflow-engine ORDER.json`: does one job and tells what it does as JSON lines; `anyflow-engine --check ORDER.json`
//! checks a plugin. People call `anyflow` instead.

use std::path::Path;
use std::process::ExitCode;

use anyflow_plan::event::Fault;
use anyflow_plan::order::{CheckOrder, Order};
use anyflow_plan::plan::PLAN_FORMAT;
use anyflow_runtime::RunError;
use anyflow_runtime::events::Events;
use anyflow_runtime::trace::Timeline;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

fn main() -> ExitCode {
    let events = Events::to_stdout();
    match std::env::args().nth(1).as_deref() {
        Some("--version") => {
            events.done(anyflow_runtime::versions());
            ExitCode::SUCCESS
        }
        Some("--check") => check(&events),
        Some(path) => match read(Path::new(path)) {
            Ok(order) => run(&order, &events),
            Err(text) => {
                events.failed(Fault::Internal, format!("order {path}: {text}"));
                ExitCode::from(Fault::Internal.exit_code())
            }
        },
        None => {
            events
                .failed(Fault::User, "usage: anyflow-engine ORDER.json; `anyflow run` writes the order and starts it");
            ExitCode::from(Fault::User.exit_code())
        }
    }
}

fn check(events: &Events) -> ExitCode {
    let read = || -> Result<CheckOrder, String> {
        let path = std::env::args().nth(2).ok_or("usage: anyflow-engine --check ORDER.json")?;
        let text = std::fs::read_to_string(&path).map_err(|e| format!("order {path}: {e}"))?;
        serde_json::from_str(&text).map_err(|e| format!("order {path}: {e}"))
    };
    let done = read().map_err(RunError::Internal).and_then(|order| {
        tch::set_num_threads(1);
        listen(None);
        anyflow_runtime::conformance::check(&order, events)
    });
    finish(done, events)
}

fn read(path: &Path) -> Result<Order, String> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let order: Order = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    match order.format {
        PLAN_FORMAT => Ok(order),
        other => Err(format!("format {other}, this engine reads {PLAN_FORMAT}; use both programs of one release")),
    }
}

/// Log text on standard error, as `ANYFLOW_LOG` says (default `warn`); spans into the timeline, if one is asked for.
fn listen(timeline: Option<Timeline>) {
    let filter = EnvFilter::try_from_env("ANYFLOW_LOG").unwrap_or_else(|_| "warn".into());
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(filter);
    tracing_subscriber::registry().with(log).with(timeline).init();
}

fn run(order: &Order, events: &Events) -> ExitCode {
    let timeline = order.trace.as_ref().map(|path| Timeline::create(Path::new(path))).transpose();
    let done = timeline.and_then(|timeline| {
        listen(timeline);
        anyflow_runtime::execute(order, events)
    });
    finish(done, events)
}

fn finish(done: Result<serde_json::Value, RunError>, events: &Events) -> ExitCode {
    match done {
        Ok(result) => {
            events.done(result);
            ExitCode::SUCCESS
        }
        Err(error) => {
            events.failed(error.fault(), error.to_string());
            ExitCode::from(error.fault().exit_code())
        }
    }
}
