//! `anyflow-engine ORDER.json`: does one job and tells what it does as JSON lines. People call `anyflow` instead.

use std::path::Path;
use std::process::ExitCode;

use anyflow_plan::event::Fault;
use anyflow_plan::order::Order;
use anyflow_plan::plan::PLAN_FORMAT;
use anyflow_runtime::events::Events;

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_env("ANYFLOW_LOG").unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let events = Events::to_stdout();
    match std::env::args().nth(1).as_deref() {
        Some("--version") => {
            events.done(anyflow_runtime::versions());
            ExitCode::SUCCESS
        }
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

fn read(path: &Path) -> Result<Order, String> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let order: Order = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    match order.format {
        PLAN_FORMAT => Ok(order),
        other => Err(format!("format {other}, this engine reads {PLAN_FORMAT}; use both programs of one release")),
    }
}

fn run(order: &Order, events: &Events) -> ExitCode {
    match anyflow_runtime::execute(order, events) {
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
