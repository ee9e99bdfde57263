//! A wave on its way: submitted to the scheduler, followed, cancelled.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ballista_core::client::BallistaClient;
use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    CancelJobParams, ExecuteQueryParams, GetJobStatusParams, KeyValuePair, PartitionLocation, execute_query_result,
    job_status,
};
use ballista_core::version::{check_compatibility, insert_version_header, version_from_metadata};
use futures_util::TryStreamExt;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

use crate::error::{ClusterError, Result};
use crate::summary::{self, ShardReport};

/// The longest message.
const MESSAGE_BYTES: usize = 16 << 20;
const CONNECTING: Duration = Duration::from_secs(10);
/// What Ballista must do for our plans: tasks of one shard each, on executors as they are free.
const SETTINGS: [(&str, &str); 2] =
    [("ballista.planner.adaptive.enabled", "false"), ("ballista.scheduler.max_partitions_per_task", "1")];

/// A connection to the scheduler.
pub struct Scheduler {
    client: SchedulerGrpcClient<Channel>,
    session: String,
}

/// What the scheduler says of a wave.
pub enum Status {
    /// It is not done.
    Running,
    /// It is done: here are its answers.
    Done(Vec<PartitionLocation>),
    /// It failed.
    Failed(String),
}

impl Scheduler {
    /// Connects.
    ///
    /// # Errors
    /// [`ClusterError::NoScheduler`].
    pub async fn connect(address: &str) -> Result<Scheduler> {
        let lost = |error: tonic::transport::Error| {
            let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            ClusterError::NoScheduler { address: address.into(), reason }
        };
        let endpoint = Endpoint::new(format!("http://{address}")).map_err(lost)?.connect_timeout(CONNECTING);
        let channel = endpoint.connect().await.map_err(lost)?;
        let client = SchedulerGrpcClient::new(channel)
            .max_encoding_message_size(MESSAGE_BYTES)
            .max_decoding_message_size(MESSAGE_BYTES);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        Ok(Scheduler { client, session: format!("anyflow-{}-{now}", std::process::id()) })
    }

    /// Submits a plan, and returns the name of its job.
    ///
    /// # Errors
    /// [`ClusterError::Release`] for a scheduler of another major version; [`ClusterError::Usage`] for a plan that is too
    /// long; the scheduler refuses it or is gone.
    pub async fn submit(&mut self, plan: Vec<u8>) -> Result<String> {
        if plan.len() >= MESSAGE_BYTES {
            let found = plan.len() >> 20;
            return Err(ClusterError::Usage(format!(
                "the plan of a wave has {found} MiB, and a message 16 at most; write shorter lists into the pipeline"
            )));
        }
        let pair = |(key, value): (&str, &str)| KeyValuePair { key: key.into(), value: Some(value.into()) };
        let mut request = Request::new(ExecuteQueryParams {
            session_id: self.session.clone(),
            settings: SETTINGS.into_iter().map(pair).collect(),
            operation_id: self.session.clone(),
            query: Some(Query::PhysicalPlan(plan)),
        });
        insert_version_header(request.metadata_mut());
        let response = self.client.execute_query(request).await.map_err(|status| refused(&status))?;
        let version = version_from_metadata(response.metadata()).map(str::to_string);
        let answer = response.into_inner().result;
        check_compatibility(Some(ballista_core::BALLISTA_VERSION), version.as_deref())
            .map_err(|found| ClusterError::Release { found })?;
        match answer {
            Some(execute_query_result::Result::Success(job)) => Ok(job.job_id),
            Some(execute_query_result::Result::Failure(failure)) => Err(ClusterError::Ballista(format!("{failure:?}"))),
            None => Err(ClusterError::Ballista("the scheduler gave no answer".into())),
        }
    }

    /// Asks how far a job is.
    ///
    /// # Errors
    /// The scheduler is gone.
    pub async fn status(&mut self, job: &str) -> Result<Status> {
        let params = GetJobStatusParams { job_id: job.into() };
        let status = self.client.get_job_status(params).await.map_err(|status| refused(&status))?.into_inner().status;
        Ok(match status.and_then(|status| status.status) {
            Some(job_status::Status::Successful(done)) => Status::Done(done.partition_location),
            Some(job_status::Status::Failed(failed)) => Status::Failed(failed.error),
            // A scheduler that was started again does not know the job.
            None => Status::Failed("the scheduler does not know the job; it may have been started again".into()),
            Some(_) => Status::Running,
        })
    }

    /// Stops a job. Best effort: its shards are committed or not.
    pub async fn cancel(&mut self, job: &str) {
        if let Err(error) = self.client.cancel_job(CancelJobParams { job_id: job.into() }).await {
            tracing::warn!("the job {job} cannot be cancelled: {error}");
        }
    }
}

/// Fetches answers from the executors that hold them.
///
/// # Errors
/// An executor is gone. The commits tell what was done.
pub async fn answers(locations: Vec<PartitionLocation>) -> Result<Vec<ShardReport>> {
    let lost = |error: ballista_core::error::BallistaError| ClusterError::Ballista(error.to_string());
    let nameless = || ClusterError::Ballista("an answer names no executor".into());
    let mut summaries = Vec::new();
    for location in locations {
        let layout = location.layout();
        let executor = location.executor_meta.ok_or_else(nameless)?;
        let partition = location.partition_id.ok_or_else(nameless)?.into();
        let port = u16::try_from(executor.port).map_err(ClusterError::internal)?;
        let client = BallistaClient::try_new(&executor.host, port, MESSAGE_BYTES, false, None, 1, 100, 0, 0).await;
        let mut client = client.map_err(lost)?;
        let fetched = client.fetch_partition(&executor.id, &partition, location.file_id, layout, true).await;
        let batches: Vec<_> = fetched.map_err(lost)?.try_collect().await.map_err(ClusterError::internal)?;
        for batch in &batches {
            summaries.extend(summary::from_batch(batch)?);
        }
    }
    Ok(summaries)
}

fn refused(status: &tonic::Status) -> ClusterError {
    match status.code() {
        tonic::Code::FailedPrecondition => ClusterError::Release { found: status.message().into() },
        _ => ClusterError::Ballista(status.message().into()),
    }
}
