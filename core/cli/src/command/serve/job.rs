//! The process of a job: `anyflow run`, as a user would start it.

use std::process::Command;

use anyflow_server::{JobCommand, JobLaunch};

use crate::allow;
use crate::command::engine::EngineOptions;
use crate::error::{CliError, Result};
use crate::order;

/// Makes the commands of jobs, with the device and the limits of the server.
///
/// # Errors
/// The system does not tell the path of this program.
pub fn command(options: &EngineOptions) -> Result<JobCommand> {
    let program = std::env::current_exe().map_err(CliError::internal)?;
    let mut shared: Vec<String> = vec!["--device".into(), options.device.clone()];
    shared.extend(["--threads".into(), order::threads(options.threads).to_string()]);
    let numbers = [
        ("--batch-rows", options.batch_rows.map(|rows| rows.to_string())),
        ("--timeout", options.timeout.map(|seconds| seconds.to_string())),
    ];
    for (name, value) in numbers {
        shared.extend(value.into_iter().flat_map(|value| [name.to_string(), value]));
    }
    let allowed = allow::chosen();
    Ok(Box::new(move |launch| {
        let JobLaunch { pipeline, input, output, rows, filter, keep } = launch;
        let mut command = Command::new(&program);
        command.args(["--json", "run", "--watched"]).arg(pipeline).arg("--output").arg(output).args(&shared);
        if let Some(input) = input {
            command.arg("--input").arg(input);
        }
        if let Some(rows) = rows {
            command.arg(format!("--rows={rows}"));
        }
        if let Some(filter) = filter {
            command.arg(format!("--where={filter}"));
        }
        if let Some(keep) = keep {
            command.arg(format!("--keep={}", keep.join(",")));
        }
        if let Some(allowed) = &allowed {
            command.arg("--plugins-allow").arg(allowed);
        }
        command
    }))
}
