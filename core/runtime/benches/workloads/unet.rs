//! One U-Net call, as the engine makes it at each sampling step.

use anyflow_config::network::Unet;
use anyflow_diffusion::{
    BuildOptions, DenoiserInput, Network, Precision, Schedule, StreamSpec, TimeRun, Tokens, build,
};
use anyflow_native::InferenceMode;
use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};

use crate::network::{self, Tensors};
use crate::report::{Clock, Line};

/// The time of the call: step 500 of the peer's 1000 steps.
const TIME: f32 = 0.501;
const TOKENS: i64 = 77;

/// The sizes of a U-Net with attention at all levels except the coarsest.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    widths: [i64; 4],
    features: i64,
    heads: i64,
    groups: i64,
    /// Operations of the call, measured with PyTorch's counter.
    gflop: f64,
    precision: Precision,
}

/// Stable Diffusion 1.5 at 256 pixels: 860 million weights.
pub const SD15: Sizes = Sizes {
    widths: [320, 640, 1280, 1280],
    features: 768,
    heads: 8,
    groups: 32,
    gflop: 171.5611,
    precision: Precision::F32,
};
/// The same in bf16.
pub const SD15_BF16: Sizes = Sizes { precision: Precision::Bf16, ..SD15 };
/// The same layers with so few channels that the call overhead dominates.
pub const TINY: Sizes =
    Sizes { widths: [8, 16, 32, 32], features: 8, heads: 2, groups: 4, gflop: 0.1073, precision: Precision::F32 };

/// Times one map of 4 x 32 x 32 with one prompt of 77 tokens. The warm-up computes the prompt's keys and the time
/// embedding, because sampling computes them only once.
pub fn run(sizes: Sizes, given: &Tensors, clock: Clock) -> Result<(Line, Tensors)> {
    let options = BuildOptions { prompt: Some(sizes.features), ..network::options(sizes.precision) };
    let mut denoiser = network::with_weights(build(&network(sizes), &[stream()], &options)?, given)?;
    let params = network::weights(denoiser.as_ref());
    denoiser.freeze()?;
    let tokens = input(given, "prompt", &[1, TOKENS, sizes.features])?;
    let x = input(given, "x", &[1, 4, 32, 32])?;
    let _inference = InferenceMode::enter()?;
    let mut output = None;
    let mut line = clock.time(format!("one call of a U-Net, widths {:?}, map 4 x 32 x 32", sizes.widths), || {
        let times = vec![TimeRun { t: vec![TIME], present: vec![1.0], rows: 1 }];
        let batch = DenoiserInput::sampling(vec![x.shallow_clone()], times);
        let prompt = Tokens { values: tokens.shallow_clone(), mask: None };
        output = denoiser.predict(&batch.with_prompt(prompt))?.pop();
        Ok(())
    })?;
    line.params = Some(params);
    line.gflop = Some(sizes.gflop);
    let output = output.context("the network has no output")?;
    Ok((line, [("output".to_string(), output)].into()))
}

fn network(sizes: Sizes) -> Network {
    let unet = Unet {
        block_out_channels: sizes.widths.to_vec(),
        attention: vec![true, true, true, false],
        num_attention_heads: vec![sizes.heads],
        norm_num_groups: sizes.groups,
        ..Unet::default()
    };
    Network::Part(unet.into())
}

fn stream() -> StreamSpec {
    StreamSpec { shape: vec![4, 32, 32], ..network::stream("x", 1, Schedule::scaled_linear()) }
}

/// The other side's input, or random numbers.
fn input(given: &Tensors, name: &str, shape: &[i64]) -> Result<Tensor> {
    match given.get(name) {
        Some(tensor) => Ok(tensor.shallow_clone()),
        None => Ok(Tensor::f_randn(shape, (Kind::Float, Device::Cpu))?),
    }
}
