//! The plan of a wave of shards.

use std::sync::Arc;

use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;

use crate::codec::ShardCodec;
use crate::error::{ClusterError, Result};
use crate::job::ClusterJob;
use crate::operator::ShardExec;
use crate::summary;

/// The most shards in a wave: its plan travels in one message, of which Ballista bounds the size.
pub const MOST_SHARDS: usize = 1000;

/// The plan of these shards. A result whose executor is gone is lost in the last stage, so the answers are gathered in a stage
/// of their own.
///
/// # Errors
/// [`ClusterError::Internal`].
pub fn plan(job: &ClusterJob, shards: &[Option<u64>]) -> Result<Arc<dyn ExecutionPlan>> {
    let partitions = shards.iter().map(|shard| Ok(vec![summary::task(*shard)?])).collect::<Result<Vec<_>>>()?;
    let source = MemorySourceConfig::try_new(&partitions, summary::task_schema(), None);
    let source = DataSourceExec::from_data_source(source.map_err(ClusterError::internal)?);
    let work = ShardExec::new(source, Arc::new(job.encode()?), None);
    Ok(Arc::new(CoalescePartitionsExec::new(Arc::new(work))))
}

/// A plan as it travels.
///
/// # Errors
/// [`ClusterError::Internal`].
pub fn encoded(plan: Arc<dyn ExecutionPlan>) -> Result<Vec<u8>> {
    let node =
        PhysicalPlanNode::try_from_physical_plan(plan, &ShardCodec::default()).map_err(ClusterError::internal)?;
    let mut bytes = Vec::new();
    node.try_encode(&mut bytes).map_err(ClusterError::internal)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use datafusion::physical_plan::ExecutionPlanProperties;
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::job::Look;

    /// Ballista runs all partitions of a leaf of ours in every task, and loses results of a last stage.
    fn assert_shape(plan: &Arc<dyn ExecutionPlan>, shards: usize) {
        assert!(plan.is::<CoalescePartitionsExec>(), "the answers are gathered");
        let work = plan.children()[0];
        assert!(work.is::<ShardExec>());
        assert_eq!(work.output_partitioning().partition_count(), shards, "a task does one shard");
        let [source] = work.children()[..] else { panic!("the operator has one child") };
        assert!(source.is::<DataSourceExec>() && source.children().is_empty());
    }

    #[test]
    fn a_wave_has_the_shape_that_ballista_runs_correctly() {
        let shards: Vec<Option<u64>> = (0..5).map(Some).chain([None]).collect();
        let job = ClusterJob::nothing(Look::default());
        let plan = plan(&job, &shards).unwrap();
        assert_shape(&plan, 6);
        let node = PhysicalPlanNode::try_decode(&encoded(plan).unwrap()).unwrap();
        let context = SessionContext::new().task_ctx();
        let read = node.try_into_physical_plan(&context, &ShardCodec::default()).unwrap();
        assert_shape(&read, 6);
        let payload = read.children()[0].downcast_ref::<ShardExec>().unwrap().payload().to_vec();
        assert_eq!(ClusterJob::decode(&payload).unwrap(), job);
    }

    #[test]
    fn the_largest_wave_fits_into_a_message() {
        let shards: Vec<Option<u64>> = (0..MOST_SHARDS as u64).map(|shard| Some(u64::MAX - shard)).collect();
        let bytes = encoded(plan(&ClusterJob::nothing(Look::default()), &shards).unwrap()).unwrap();
        assert!(bytes.len() < 4 << 20, "{} bytes, of which a job has the rest of 16 MiB", bytes.len());
    }
}
