//! `anyflow-cluster scheduler`.

use std::sync::Arc;

use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::{SchedulerConfig, TaskDistributionPolicy};
use ballista_scheduler::scheduler_process::{create_scheduler, start_grpc_service_with_listener};
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::net::TcpListener;

use crate::codec::ShardCodec;
use crate::error::{ClusterError, Result};

/// Seconds between two looks at executors that are silent.
const LOOK_SECONDS: u64 = 1;
/// Seconds that a cluster without executors waits for one.
const NO_EXECUTORS_SECONDS: u64 = 60;
/// Seconds for which answers of a finished wave are kept.
const KEPT_SECONDS: u64 = 60;

/// Arguments of `anyflow-cluster scheduler`.
#[derive(Debug, clap::Args)]
pub struct SchedulerArgs {
    /// Address to listen on; nothing is encrypted and nobody is asked who he is, so name one of a private network
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    bind: String,
    /// Port; 0 for any that is free
    #[arg(long, default_value_t = 50050)]
    port: u16,
    /// Name by which executors reach this machine [default: the address]
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Seconds after which a silent executor is lost, and its shards are given to others
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(2..))]
    executor_timeout: u64,
}

/// Runs a scheduler until it is stopped. Prints its address.
///
/// # Errors
/// The address cannot be used.
pub async fn run(args: SchedulerArgs) -> Result<()> {
    let unusable = |error: std::io::Error| ClusterError::Usage(format!("{}:{}: {error}", args.bind, args.port));
    let listener = TcpListener::bind((args.bind.as_str(), args.port)).await.map_err(unusable)?;
    let address = listener.local_addr().map_err(ClusterError::internal)?;
    let config = SchedulerConfig {
        bind_host: args.bind.clone(),
        bind_port: address.port(),
        external_host: args.host.unwrap_or(args.bind),
        task_distribution: TaskDistributionPolicy::RoundRobin,
        override_physical_codec: Some(Arc::new(ShardCodec::default())),
        executor_timeout_seconds: args.executor_timeout,
        expire_dead_executor_interval_seconds: LOOK_SECONDS,
        no_executors_grace_period_seconds: NO_EXECUTORS_SECONDS.max(args.executor_timeout),
        finished_job_data_clean_up_interval_seconds: KEPT_SECONDS,
        finished_job_state_clean_up_interval_seconds: 2 * KEPT_SECONDS,
        ..SchedulerConfig::default()
    };
    let failed = |error: ballista_core::error::BallistaError| ClusterError::Ballista(error.to_string());
    let cluster = BallistaCluster::new_from_config(&config).await.map_err(failed)?;
    let scheduler = create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, Arc::new(config)).await;
    println!("the scheduler listens on {address}");
    tokio::select! {
        served = start_grpc_service_with_listener(listener, scheduler.map_err(failed)?) => served.map_err(failed),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}
