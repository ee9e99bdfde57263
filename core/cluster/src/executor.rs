//! `anyflow-cluster executor`.

use std::net::TcpListener;
use std::sync::Arc;

use anyflow_datasets::escape_line;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};

use crate::codec::ShardCodec;
use crate::error::{ClusterError, Result};
use crate::plugins::anyflow;
use crate::worker::{Settings, Worker};

/// Seconds to wait for a scheduler that starts.
const CONNECT_SECONDS: u16 = 30;
/// Seconds for which answers are kept, and between two removals.
const KEPT_SECONDS: u64 = 600;

/// Arguments of `anyflow-cluster executor`.
#[derive(Debug, clap::Args)]
pub struct ExecutorArgs {
    /// The scheduler, such as 10.0.0.1:50050
    #[arg(long, value_name = "HOST:PORT")]
    scheduler: String,
    /// Address to listen on; nothing is encrypted and nobody is asked who he is, so name one of a private network
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    bind: String,
    /// Name by which others reach this machine [default: the address]
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Ports of results and of tasks [default: any that are free]
    #[arg(long, num_args = 2, value_name = "PORT")]
    ports: Vec<u16>,
    /// Name of this executor, unique in the cluster; its part of an output has this name [default: HOST-PORT]
    #[arg(long)]
    name: Option<String>,
    /// Device: cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Memory limit of the engine, in bytes [default: that of the job, or a quarter of the machine's]
    #[arg(long, value_name = "BYTES")]
    memory: Option<u64>,
    /// Shards in progress at once; 2 overlap reading and computing
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    slots: u16,
    /// Seconds without a shard after which the model is dropped
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS")]
    idle: f64,
    /// Seconds between two signs of life
    #[arg(long, default_value_t = 5, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    heartbeat: u64,
}

/// Runs an executor until it is stopped. Prints its name.
///
/// # Errors
/// There is no scheduler; `anyflow` is missing; the addresses cannot be used.
pub async fn run(args: ExecutorArgs) -> Result<()> {
    let (host, port) = address(&args.scheduler)?;
    let (port_of_results, port_of_tasks) = match args.ports[..] {
        [results, tasks] => (results, tasks),
        _ => (free_port(&args.bind)?, free_port(&args.bind)?),
    };
    let own_host = args.host.unwrap_or_else(|| args.bind.clone());
    let name = args.name.unwrap_or_else(|| format!("{own_host}-{port_of_results}"));
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) || name.starts_with('.')
    {
        return Err(ClusterError::Usage(format!("--name {name}: use letters, digits, `-`, `_` and `.`")));
    }
    let settings = Settings {
        name: name.clone(),
        anyflow: anyflow(),
        device: args.device,
        memory_bytes: args.memory,
        idle_seconds: args.idle,
    };
    let worker = Arc::new(Worker::new(settings)?);
    let folder = tempfile::Builder::new().prefix("anyflow-cluster-").tempdir().map_err(ClusterError::internal)?;
    let config = ExecutorProcessConfig {
        bind_host: args.bind,
        external_host: Some(own_host),
        port: port_of_results,
        grpc_port: port_of_tasks,
        scheduler_host: host,
        scheduler_port: port,
        scheduler_connect_timeout_seconds: CONNECT_SECONDS,
        vcores: args.slots.into(),
        work_dir: Some(folder.path().display().to_string()),
        job_data_ttl_seconds: KEPT_SECONDS,
        job_data_clean_up_interval_seconds: KEPT_SECONDS,
        executor_heartbeat_interval_seconds: args.heartbeat,
        // No operator of ours takes memory from this pool.
        memory_pool_size: Some(0),
        override_physical_codec: Some(Arc::new(ShardCodec::of(worker))),
        ..ExecutorProcessConfig::default()
    };
    println!("executor {} starts", escape_line(&name));
    start_executor_process(Arc::new(config)).await.map_err(|error| ClusterError::Ballista(error.to_string()))
}

/// Host and port of an address.
///
/// # Errors
/// [`ClusterError::Usage`].
pub fn address(text: &str) -> Result<(String, u16)> {
    let parsed = text.rsplit_once(':').and_then(|(host, port)| Some((host.to_string(), port.parse().ok()?)));
    let wrong = || ClusterError::Usage(format!("{text}: expected HOST:PORT, such as 10.0.0.1:50050"));
    parsed.filter(|(host, _)| !host.is_empty()).ok_or_else(wrong)
}

/// A port that is free now. Ballista tells others the port that it is given, so it cannot be given 0.
fn free_port(bind: &str) -> Result<u16> {
    let unusable = |error: std::io::Error| ClusterError::Usage(format!("{bind}: {error}"));
    Ok(TcpListener::bind((bind, 0)).and_then(|listener| listener.local_addr()).map_err(unusable)?.port())
}
