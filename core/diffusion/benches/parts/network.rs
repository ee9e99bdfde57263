//! The networks that the parts are measured with.

use anyflow_diffusion::{
    BuildOptions, Denoiser, Network, Parameterization, Precision, PromptUse, Schedule, StreamKind, StreamSpec, build,
};
use serde_json::{Value, json};
use tch::Device;

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
    let prompt = StreamSpec { kind: StreamKind::Prompt(PromptUse::Tokens), ..stream("prompt", &[1, 64]) };
    let streams =
        [stream("short", &[16]), stream("map", &[4, 7, 7]), stream("vector", &[24]), stream("long", &[8, 12]), prompt];
    built(network, &streams)
}

fn built(network: Value, streams: &[StreamSpec]) -> Box<dyn Denoiser> {
    let network: Network = serde_json::from_value(network).unwrap();
    build(&network, streams, &BuildOptions::new(Precision::F32, Device::Cpu, 1)).unwrap()
}

fn stream(name: &str, shape: &[i64]) -> StreamSpec {
    StreamSpec {
        name: name.to_string(),
        shape: shape.to_vec(),
        schedule: Schedule::vp_linear(),
        parameterization: Parameterization::Eps,
        kind: StreamKind::Diffused,
    }
}
