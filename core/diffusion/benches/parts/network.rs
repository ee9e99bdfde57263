//! The network that the parts are measured with.

use anyflow_diffusion::{Denoiser, Network, Parameterization, Precision, Schedule, StreamSpec, build};
use serde_json::json;
use tch::Device;

/// A residual MLP over two streams of 64 numbers each.
pub fn two_streams(width: i64, blocks: usize) -> Box<dyn Denoiser> {
    let network = json!({"kind": "residual-mlp", "width": width, "blocks": blocks});
    let network: Network = serde_json::from_value(network).unwrap();
    let stream = |name: &str| StreamSpec {
        name: name.to_string(),
        shape: vec![64],
        schedule: Schedule::vp_linear(),
        parameterization: Parameterization::Eps,
    };
    build(&network, &[stream("left"), stream("right")], Precision::F32, Device::Cpu, 1).unwrap()
}
