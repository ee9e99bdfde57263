//! The operator whose partitions are shards. It has one child: Ballista restricts a task to its own partitions only in leaves
//! that it knows, and would have every task do all shards of a leaf of ours.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures_util::StreamExt;

use crate::error::ClusterError;
use crate::job::ClusterJob;
use crate::summary;
use crate::worker::Worker;

/// Does the shards that its child names.
#[derive(Debug)]
pub struct ShardExec {
    input: Arc<dyn ExecutionPlan>,
    /// The payload, as it travels.
    payload: Arc<Vec<u8>>,
    /// Who does the shards; only executors have one.
    worker: Option<Arc<Worker>>,
    properties: Arc<PlanProperties>,
}

impl ShardExec {
    /// The operator over `input`.
    pub fn new(input: Arc<dyn ExecutionPlan>, payload: Arc<Vec<u8>>, worker: Option<Arc<Worker>>) -> ShardExec {
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(summary::schema()),
            input.output_partitioning().clone(),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        ShardExec { input, payload, worker, properties }
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}

impl DisplayAs for ShardExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShardExec")
    }
}

impl ExecutionPlan for ShardExec {
    fn name(&self) -> &str {
        "ShardExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(ShardExec::new(input, self.payload.clone(), self.worker.clone()))),
            _ => internal_err!("ShardExec has exactly one child"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(worker) = self.worker.clone() else {
            return internal_err!("ShardExec runs in an executor of anyflow-cluster only");
        };
        let job =
            ClusterJob::decode(&self.payload).and_then(|job| worker.accept(job)).map_err(|error| refusal(&error))?;
        let job = Arc::new(job);
        let answers = self.input.execute(partition, context)?.then(move |batch| {
            let (worker, job) = (worker.clone(), job.clone());
            async move {
                let mut summaries = Vec::new();
                for shard in summary::shards(&batch?).map_err(|error| refusal(&error))? {
                    summaries.push(worker.perform(&job, shard).await.map_err(|error| refusal(&error))?);
                }
                summary::to_batch(&summaries).map_err(|error| refusal(&error))
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(summary::schema(), answers)))
    }
}

/// An error that ends the Ballista job at once: another try would end alike.
fn refusal(error: &ClusterError) -> DataFusionError {
    DataFusionError::Execution(error.marked())
}
