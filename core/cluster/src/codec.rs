//! Carries the operator over the network.

use std::sync::Arc;

use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::common::{Result, internal_err};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};

use crate::job::ClusterJob;
use crate::operator::ShardExec;
use crate::worker::Worker;

/// Knows our operator, and leaves all others to Ballista.
#[derive(Debug, Default)]
pub struct ShardCodec {
    others: BallistaPhysicalExtensionCodec,
    worker: Option<Arc<Worker>>,
}

impl ShardCodec {
    /// The codec of an executor.
    pub fn of(worker: Arc<Worker>) -> ShardCodec {
        ShardCodec { worker: Some(worker), ..ShardCodec::default() }
    }
}

impl PhysicalExtensionCodec for ShardCodec {
    fn try_decode(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if !ClusterJob::is_payload(bytes) {
            return self.others.try_decode(bytes, inputs, context, converter);
        }
        // A payload that this worker refuses is refused when it runs: Ballista does not pass on why a plan cannot be read.
        match inputs {
            [input] => Ok(Arc::new(ShardExec::new(input.clone(), Arc::new(bytes.to_vec()), self.worker.clone()))),
            _ => internal_err!("ShardExec has exactly one child"),
        }
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        bytes: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        match node.downcast_ref::<ShardExec>() {
            Some(operator) => {
                bytes.extend_from_slice(operator.payload());
                Ok(())
            }
            None => self.others.try_encode(node, bytes, converter),
        }
    }
}
