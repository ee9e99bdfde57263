//! `anyflow serve`.

mod job;
mod offered;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyflow_plan::service::ServeOrder;
use anyflow_server::{EngineEnd, JobsConfig, Limits, Server, ServerConfig, StartEngine, Token, serve};
use serde_json::json;

use super::engine::EngineOptions;
use super::plugins;
use crate::console::{CommandResult, Console};
use crate::engine;
use crate::error::{CliError, Result};
use crate::libtorch::Libtorch;
use crate::order;
use crate::progress::Progress;
use crate::supervise::EngineFailure;

/// Arguments of `anyflow serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pipelines (YAML)
    #[arg(required = true, num_args = 1..)]
    pipelines: Vec<PathBuf>,
    /// Port; 0 for a free one
    #[arg(long, default_value_t = 8750)]
    port: u16,
    /// Address; any but that of this machine itself needs --token-file
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// File with a secret of at least 16 characters that every request must send
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Folder of the queue and the history, with uploads and results [default: anyflow/PORT in your state folder]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Maximum rows of a run
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    max_rows: u64,
    /// Maximum steps of a sampler
    #[arg(long, value_name = "N", default_value_t = 1000)]
    max_steps: usize,
    /// Maximum size of a request
    #[arg(long, value_name = "SIZE", default_value = "32M", value_parser = order::size)]
    max_upload: u64,
    /// Maximum number of runs that wait
    #[arg(long, value_name = "N", default_value_t = 128)]
    max_queue: u64,
    /// Maximum number of runs that share the engine at a time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    max_running: u32,
    /// Number of ended runs to keep
    #[arg(long, value_name = "N", default_value_t = 1000)]
    history: u64,
    /// Folder whose Parquet files and folders clients may name in jobs [default: none]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder of the outputs of jobs, one per job [default: `jobs` in the folder of the queue]
    #[arg(long, value_name = "DIR")]
    jobs: Option<PathBuf>,
    /// Maximum rows of a job
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    max_job_rows: u64,
    #[command(flatten)]
    engine: EngineOptions,
}

/// Serves until the user interrupts it.
///
/// # Errors
/// Errors in files or plugins; the server or the engine cannot start.
pub fn run(args: &Args, console: &Console) -> Result<CommandResult> {
    let plugins = Arc::new(plugins(console)?);
    let pipelines =
        args.pipelines.iter().map(|path| offered::pipeline(path, &plugins, console)).collect::<Result<Vec<_>>>()?;
    // Found missing here, they are named before anything starts.
    engine::find()?;
    Libtorch::find()?;
    let address = SocketAddr::new(args.host, args.port);
    let config = ServerConfig {
        address,
        token: args.token_file.as_deref().map(Token::read).transpose()?,
        limits: args.limits(),
        state: args.state()?,
        engine: args.engine.order(String::new())?,
    };
    let own = *console;
    let listening = Box::new(move |address: SocketAddr| {
        own.note(&format!("open http://{address} in a browser; Ctrl-C ends the server"));
    });
    let jobs = args.jobs_config(&config.state)?;
    serve(Server { config, pipelines, jobs, start_engine: start_engine(own), listening })?;
    Ok(CommandResult::done(
        "the server has ended; waiting runs stay in the queue",
        json!({"address": address.to_string()}),
    ))
}

impl Args {
    fn limits(&self) -> Limits {
        Limits {
            upload_bytes: usize::try_from(self.max_upload).unwrap_or(usize::MAX),
            rows: self.max_rows,
            steps: self.max_steps,
            queue: self.max_queue,
            running: self.max_running as usize,
            history: self.history,
        }
    }

    /// The folder of the queue: as named, else one per port in the user's state folder.
    fn state(&self) -> Result<PathBuf> {
        if let Some(state) = &self.state {
            return Ok(state.clone());
        }
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
        let unknown = || CliError::Usage("the queue needs a folder, and HOME is not set; name one with --state".into());
        Ok(base.ok_or_else(unknown)?.join("anyflow").join(self.port.to_string()))
    }

    fn jobs_config(&self, state: &Path) -> Result<JobsConfig> {
        Ok(JobsConfig {
            data: self.data.clone(),
            folder: self.jobs.clone().unwrap_or_else(|| state.join("jobs")),
            most_rows: self.max_job_rows,
            most_waiting: self.max_queue,
            command: job::command(&self.engine)?,
        })
    }
}

/// Starts the engine and watches it, as for any other job.
fn start_engine(console: Console) -> StartEngine {
    // Bars would hide the lines of the log.
    let console = Console { terminal: false, ..console };
    Box::new(move |order: &ServeOrder| {
        let launch = engine::Launch { order, arguments: &["serve", "-"], threads: order.threads };
        let end = match engine::execute(&launch, &mut Progress::new(&console)) {
            Ok(_) => EngineEnd { text: "the engine ended".into(), by_user: false },
            Err(CliError::Engine(EngineFailure::Interrupted)) => EngineEnd { text: "stopped".into(), by_user: true },
            Err(CliError::Engine(EngineFailure::Died(death))) => EngineEnd { text: death.brief(), by_user: false },
            Err(error) => EngineEnd { text: error.to_string(), by_user: false },
        };
        if !end.by_user {
            console.warn(&format!("{}; it is started again", end.text));
        }
        end
    })
}
