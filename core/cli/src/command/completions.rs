//! `anyflow completions`.

use clap_complete::Shell;
use serde_json::json;

use crate::console::CommandResult;

/// Arguments of `anyflow completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Shell to complete in
    shell: Shell,
}

/// Prints the script that completes a command line in a shell.
pub fn run(args: &Args, mut line: clap::Command) -> CommandResult {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut line, "anyflow", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    let json = json!({"shell": args.shell.to_string(), "script": script});
    CommandResult::done(script, json)
}
