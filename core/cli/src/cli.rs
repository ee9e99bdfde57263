//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::command::{
    adopt, check, completions, data, doctor, engine, eval, explain, finish, gc, jobs, plan, plugin, report, run, serve,
    train, work,
};
use crate::console::{CommandResult, Console};
use crate::error::Result;

/// Turns any set of modalities into any other set: pipelines in YAML, rows in Parquet, modalities as plugins.
#[derive(Debug, Parser)]
#[command(name = "anyflow", version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Cli {
    /// Print the result as JSON on standard output, and nothing else
    #[arg(long, global = true)]
    pub json: bool,
    /// Load only plugin files whose blake3 hashes are in this list [default: the file that ANYFLOW_PLUGINS_ALLOW names]
    #[arg(long, global = true, value_name = "FILE")]
    pub plugins_allow: Option<PathBuf>,
    /// End with the caller, whose end is that of the standard input
    #[arg(long, global = true, hide = true)]
    pub end_with_caller: bool,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 the run failed, 2 your files or arguments are wrong, 3 a plugin is wrong.";

/// All commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a pipeline over rows
    Run(Box<run::Args>),
    /// Make one output of the parts that `run --shards I/N` wrote
    Finish(finish::Args),
    /// Show how far a job and its parts are
    Jobs(jobs::Args),
    /// Remove files that killed processes left in an output
    Gc(gc::Args),
    /// Train a model; run the same command again to resume
    Train(train::Args),
    /// Evaluate a model on held-out rows
    Eval(eval::Args),
    /// Check a pipeline, model, training or evaluation; needs no GPU, no libtorch and no weights
    Check(check::Args),
    /// Write the model file of a published model, from its folder
    Adopt(adopt::Args),
    /// Print the plan: what a command would do
    Plan(plan::Args),
    /// Explain a key or kind of the YAML files, or the code of an error
    Explain(explain::Args),
    /// List, inspect, create and check plugins
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// Inspect, survey, import, generate, pair, join and split datasets
    #[command(subcommand)]
    Data(data::Command),
    /// Serve pipelines over HTTP, with a page in the browser
    Serve(serve::Args),
    /// Run an engine that answers the calls of another program on a socket
    #[command(hide = true)]
    Engine(engine::Args),
    /// Do shards of a job that another program gives
    #[command(hide = true)]
    Work(work::Args),
    /// Write an HTML page with the samples, curves, graph and provenance of a folder
    Report(report::Args),
    /// Check that everything a run needs is installed
    Doctor(doctor::Args),
    /// Print the completion script of a shell
    Completions(completions::Args),
}

/// Reads the command line.
///
/// # Errors
/// It is not that of a command, or asks for help.
pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let matches = with_negative_numbers(Cli::command()).try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

/// Takes `-1` for the value of an option, so that the option itself says what is wrong with it.
fn with_negative_numbers(command: clap::Command) -> clap::Command {
    let allow = |arg: Arg| {
        let has_value = !arg.is_positional() && arg.get_action().takes_values();
        if has_value { arg.allow_negative_numbers(true) } else { arg }
    };
    command.mut_args(allow).mut_subcommands(with_negative_numbers)
}

/// An error in words. Those of Rust's number parser say neither what is expected nor what to write.
pub fn words(error: &clap::Error) -> String {
    let expected = "expected a whole number of at least 0 in digits, such as 1000";
    error.render().to_string().replace("invalid digit found in string", expected)
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// The reason why it failed.
    pub fn run(self, console: &Console) -> Result<CommandResult> {
        match self {
            Command::Run(args) => run::run(&args, console),
            Command::Finish(args) => finish::run(&args),
            Command::Jobs(args) => jobs::run(&args),
            Command::Gc(args) => gc::run(&args),
            Command::Train(args) => train::run(&args, console),
            Command::Eval(args) => eval::run(&args, console),
            Command::Check(args) => check::run(&args, console),
            Command::Adopt(args) => adopt::run(&args, console),
            Command::Plan(args) => plan::run(&args, console),
            Command::Explain(args) => explain::run(&args),
            Command::Plugin(command) => plugin::run(&command, console),
            Command::Data(command) => data::run(&command, console),
            Command::Serve(args) => serve::run(&args, console),
            Command::Engine(args) => engine::run(&args, console),
            Command::Work(args) => work::run(&args, console),
            Command::Report(args) => report::run(&args),
            Command::Doctor(args) => doctor::run(&args, console),
            Command::Completions(args) => Ok(completions::run(&args, Cli::command())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn json_may_stand_anywhere() {
        for line in [["anyflow", "--json", "doctor"], ["anyflow", "doctor", "--json"]] {
            assert!(Cli::try_parse_from(line).unwrap().json);
        }
    }

    #[test]
    fn numbers_that_are_not_whole_say_what_is_expected() {
        for (line, value) in [
            (&["anyflow", "run", "p.yaml", "--output", "out", "--rows", "1e3"][..], "1e3"),
            (&["anyflow", "run", "p.yaml", "--output", "out", "--seed", "-1"], "-1"),
            (&["anyflow", "train", "t.yaml", "--output", "out", "--seed", "-1"], "-1"),
            (&["anyflow", "data", "split", "a.parquet", "--seed", "-1"], "-1"),
            (&["anyflow", "run", "p.yaml", "--output", "out", "--shard-rows", "1e3"], "1e3"),
        ] {
            let error = read(line.iter().map(OsString::from)).err().map(|error| words(&error)).unwrap_or_default();
            let found = format!("invalid value '{value}' for");
            assert!(error.contains(&found) && error.contains("expected a whole number of at least 0"), "{error}");
        }
    }
}
