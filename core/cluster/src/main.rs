//! The program `anyflow-cluster`: jobs on Ballista. A scheduler gives tasks out, executors do them, and `run` has the shards of
//! a job done by them. What decides is the list of our commits, never what Ballista answers: it may lose a result, or do a
//! shard twice.
#![allow(clippy::print_stdout, reason = "a command-line program prints to standard output")]

mod codec;
mod doctor;
mod driver;
mod error;
mod events;
mod executor;
mod front;
mod job;
mod operator;
mod plugins;
mod scheduler;
mod submit;
mod summary;
mod wave;
mod worker;

use std::process::ExitCode;

use anyflow_datasets::{escape_line, escape_text};
use clap::{Parser, Subcommand};
use error::ClusterError;
use tracing_subscriber::EnvFilter;

/// Jobs of Anyflow on Ballista.
#[derive(Debug, Parser)]
#[command(name = "anyflow-cluster", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Give tasks to executors
    Scheduler(scheduler::SchedulerArgs),
    /// Do shards of jobs; one executor for each GPU
    Executor(executor::ExecutorArgs),
    /// Have the shards of an order done; `anyflow run --on ballista=HOST:PORT` calls it
    Run(driver::DriverArgs),
    /// Run an empty shard on every executor, and show what they have
    Doctor(doctor::DoctorArgs),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version contain only our own text. An error quotes arguments, which must be escaped.
        Err(asked) if !asked.use_stderr() => asked.exit(),
        Err(error) => {
            eprint!("{}", escape_text(&error.render().to_string()));
            return ExitCode::from(2);
        }
    };
    let filter = EnvFilter::try_from_env("ANYFLOW_LOG").unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).with_env_filter(filter).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&ClusterError::Internal(format!("no threads can be started: {error}"))),
    };
    let done = runtime.block_on(async {
        match cli.command {
            Command::Scheduler(args) => scheduler::run(args).await,
            Command::Executor(args) => executor::run(args).await,
            Command::Run(args) => driver::run(args).await,
            Command::Doctor(args) => doctor::run(args).await,
        }
    });
    // Tasks that still run must not hold up the end.
    runtime.shutdown_background();
    done.map_or_else(|error| report(&error), |()| ExitCode::SUCCESS)
}

fn report(error: &ClusterError) -> ExitCode {
    tracing::debug!(code = error.code(), "ends");
    eprintln!("error: {}", escape_line(&error.to_string()));
    ExitCode::from(error.fault().exit_code())
}
