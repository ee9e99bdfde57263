//! Sizes of the engine.

use tch::Device;

/// The configuration of the engine.
#[derive(Clone, Copy, Debug)]
pub struct EngineConfig {
    /// The device of the denoisers' parameters and of all sampling.
    pub device: Device,
    /// Maximum rows per network call, guidance branches included.
    pub max_batch_rows: usize,
    /// Submitting blocks while this many rows wait outside the batch.
    pub max_waiting_rows: usize,
    /// Requests and calls that may queue before the sender blocks.
    pub queue: usize,
}

impl EngineConfig {
    /// 256 rows per call, 65536 rows waiting, queues of 64.
    pub fn new(device: Device) -> Self {
        EngineConfig { device, max_batch_rows: 256, max_waiting_rows: 65_536, queue: 64 }
    }
}
