//! `anyflow train --rehearse`: a few steps of each stage, and what the whole training would cost.

use std::time::Instant;

use anyflow_plan::plan::{Job, TrainPlan};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Args;
use crate::command::{bytes, table};
use crate::compiled::Compiled;
use crate::console::{CommandResult, Console};
use crate::error::{CliError, Result};
use crate::order;
use crate::progress::{Progress, duration, significant};

/// A stage of a rehearsal, as the engine reports it.
#[derive(Debug, Deserialize, Serialize)]
struct Stage {
    #[serde(rename = "stage")]
    name: String,
    /// Rows of its table.
    rows: u64,
    result: Figures,
    /// Seconds of all its steps; 0 if it has none.
    #[serde(default)]
    estimated_seconds: f64,
}

/// The figures of a stage.
#[derive(Debug, Deserialize, Serialize)]
struct Figures {
    /// Rows that it cannot use.
    #[serde(default)]
    left_out: u64,
    /// `None` for a stage without steps.
    steps_per_second: Option<f64>,
}

/// Trains at most `most` steps of each stage in a temporary folder, which is removed afterwards.
///
/// # Errors
/// Errors of the training; the temporary folder cannot be created.
pub fn run(args: &Args, mut compiled: Compiled, most: u64, console: &Console) -> Result<CommandResult> {
    let Job::Train(plan) = &mut compiled.job else { return Err(CliError::internal("a rehearsal of no training")) };
    let steps: Vec<u64> = plan.stages.iter().map(|stage| stage.options.steps()).collect();
    shorten(plan, most);
    let shortened: Vec<u64> = plan.stages.iter().map(|stage| stage.options.steps()).collect();
    let beside = args.output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(".".as_ref());
    let folder = tempfile::Builder::new().prefix(".rehearsal-").tempdir_in(beside).map_err(CliError::write(beside))?;
    let started = Instant::now();
    let order = args.order(compiled.job, folder.path())?;
    let result = order::execute(&order, &mut Progress::new(console))?;
    let mut stages = Vec::<Stage>::deserialize(&result["stages"]).map_err(CliError::internal)?;
    let mut seconds = started.elapsed().as_secs_f64();
    for ((stage, steps), shortened) in stages.iter_mut().zip(steps).zip(shortened) {
        let Some(rate) = stage.result.steps_per_second else { continue };
        stage.estimated_seconds = steps as f64 / rate;
        seconds += (steps - shortened) as f64 / rate;
    }
    let memory = result["peak_memory_bytes"].as_u64();
    let text = text(&stages, seconds, memory);
    let found = json!({ "steps": most, "stages": stages, "estimated_seconds": seconds, "peak_memory_bytes": memory });
    Ok(CommandResult::done(text, found))
}

/// Cuts each stage to at most `most` steps.
fn shorten(plan: &mut TrainPlan, most: u64) {
    for options in plan.stages.iter_mut().map(|stage| &mut stage.options) {
        options.steps = options.steps.map(|steps| steps.min(most));
        options.keep = None;
    }
}

fn text(stages: &[Stage], seconds: f64, memory: Option<u64>) -> String {
    let mut rows = vec![["stage", "rows", "left out", "steps/s", "time"].map(String::from).to_vec()];
    rows.extend(stages.iter().map(|stage| {
        let rate = stage.result.steps_per_second;
        vec![
            stage.name.clone(),
            stage.rows.to_string(),
            stage.result.left_out.to_string(),
            rate.map(significant).unwrap_or_default(),
            rate.map(|_| duration(stage.estimated_seconds)).unwrap_or_default(),
        ]
    }));
    let memory = memory.map(|memory| format!("peak memory {}, ", bytes(memory))).unwrap_or_default();
    format!("{}{memory}whole training about {}; nothing was written\n", table(&rows), duration(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_without_steps_has_no_rate() {
        let stages = json!([
            {"stage": "a", "rows": 900, "result": {"left_out": 30, "steps_per_second": 20.0}, "estimated_seconds": 100.0},
            {"stage": "statistics", "rows": 900, "result": {"image": {"rows": 900}}},
        ]);
        let stages = Vec::<Stage>::deserialize(&stages).unwrap();
        let text = text(&stages, 130.0, Some(512_000_000));
        assert!(text.contains("a           900   30        20"), "{text}");
        assert!(text.contains("statistics  900   0\n"), "{text}");
        assert!(text.contains("peak memory 512.0 MB, whole training about"), "{text}");
    }
}
