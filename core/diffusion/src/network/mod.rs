//! The networks that are built here, by their names in a configuration.

mod residual_mlp;

pub use residual_mlp::ResidualMlp;
use serde::{Deserialize, Serialize};
use tch::Device;

use crate::{Denoiser, EngineError, Result, StreamSpec, check_streams};

/// A network and its size.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Network {
    /// Linear layers with residual connections over the concatenation of all streams: see [`ResidualMlp`].
    ResidualMlp {
        /// The width of the hidden layers.
        #[serde(default = "default_width")]
        width: i64,
        /// The number of residual blocks.
        #[serde(default = "default_blocks")]
        blocks: usize,
    },
}

fn default_width() -> i64 {
    256
}

fn default_blocks() -> usize {
    4
}

/// Builds a network with fresh parameters on `device`: f32, leaves, recording gradients. Equal seeds give equal bits.
pub fn build(network: &Network, streams: &[StreamSpec], device: Device, seed: u64) -> Result<Box<dyn Denoiser>> {
    check_streams(streams)?;
    match *network {
        Network::ResidualMlp { width, .. } if width < 1 => {
            Err(EngineError::Config { field: "width", wanted: "at least 1", found: width.to_string() })
        }
        Network::ResidualMlp { width, blocks } => Ok(Box::new(ResidualMlp::new(streams, width, blocks, device, seed)?)),
    }
}
