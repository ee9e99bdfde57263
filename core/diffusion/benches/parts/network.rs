//! The networks that the parts are measured with.

use anyflow_diffusion::{
    BuildOptions, Denoiser, Network, Parameterization, Precision, Schedule, StreamSpec, build, build_prompted,
};
use serde_json::{Value, json};
use tch::Device;

const OPTIONS: BuildOptions = BuildOptions { precision: Precision::F32, device: Device::Cpu, seed: 1 };

/// A residual MLP over two streams of 64 numbers each.
pub fn two_streams(width: i64, blocks: usize) -> Box<dyn Denoiser> {
    let network = json!({"kind": "residual-mlp", "width": width, "blocks": blocks});
    built(network, &[stream("left", &[64]), stream("right", &[64])])
}

/// Two pairs of streams that are sampled together, with small networks and one prompt.
pub fn coupled() -> Box<dyn Denoiser> {
    let perceptron = |width: i64| json!({"kind": "residual-mlp", "width": width, "blocks": 3});
    let map = json!({
        "kind": "unet", "block_out_channels": [32, 64], "layers_per_block": 1, "attention": [false, true],
        "num_attention_heads": [4], "norm_num_groups": 8,
    });
    let parts = json!({"short": perceptron(128), "map": map, "vector": perceptron(192), "long": perceptron(224)});
    let environment = json!({"width": 192, "features": 64, "tokens": 4});
    let network = json!({"kind": "coupled", "parts": parts, "environment": environment});
    let network: Network = serde_json::from_value(network).unwrap();
    let streams =
        [stream("short", &[16]), stream("map", &[4, 7, 7]), stream("vector", &[24]), stream("long", &[8, 12])];
    let prompts = vec![stream("prompt", &[1, 64])];
    build_prompted(&network, &streams, prompts, OPTIONS).unwrap()
}

fn built(network: Value, streams: &[StreamSpec]) -> Box<dyn Denoiser> {
    let network: Network = serde_json::from_value(network).unwrap();
    build(&network, streams, OPTIONS).unwrap()
}

fn stream(name: &str, shape: &[i64]) -> StreamSpec {
    StreamSpec {
        name: name.to_string(),
        shape: shape.to_vec(),
        schedule: Schedule::vp_linear(),
        parameterization: Parameterization::Eps,
    }
}
