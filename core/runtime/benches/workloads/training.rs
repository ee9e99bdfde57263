//! Training steps on a batch in memory, with the score network of the peers' `peer_mlp_train.py`.

use anyflow_config::Decay;
use anyflow_config::optimizer::Adamw;
use anyflow_diffusion::{
    Denoiser, DenoiserInput, DrawKey, LossOptions, Optimizer, Precision, Schedule, TimeDistribution, denoising_loss,
};
use anyhow::Result;
use serde_json::json;
use tch::{Device, Kind, Tensor};

use crate::network::{self, Score, Tensors};
use crate::report::{Clock, Line};

const STREAMS: [&str; 2] = ["left", "right"];
/// Elements of one stream.
const ELEMENTS: i64 = 64;
const BLOCKS: usize = 6;
const EMBEDDING: i64 = 128;
/// Learning rate.
const RATE: f64 = 1e-4;

/// A network and a batch.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    width: i64,
    batch: i64,
    precision: Precision,
    /// Steps per repetition.
    steps: u32,
}

/// Bound by arithmetic.
pub const WIDE: Size = Size { width: 512, batch: 256, precision: Precision::F32, steps: 10 };
/// The same in bf16.
pub const WIDE_BF16: Size = Size { precision: Precision::Bf16, ..WIDE };
/// Bound by the host.
pub const NARROW: Size = Size { width: 64, batch: 16, precision: Precision::F32, steps: 200 };

/// Computes the loss, the gradients and the optimizer's update, without clipping and without an average of the weights.
pub fn run(size: Size, given: &Tensors, clock: Clock) -> Result<(Line, Tensors)> {
    let Size { width, batch, precision, steps } = size;
    let streams = STREAMS.map(|name| network::stream(name, ELEMENTS, Schedule::cosine()));
    let denoiser = Score { width, blocks: BLOCKS, embedding: EMBEDDING }.build(&streams, precision, given)?;
    let found = if given.is_empty() { Tensors::new() } else { prediction(denoiser.as_ref(), given)? };
    let latents = [0.5, -0.5].map(|value| Tensor::full([batch, ELEMENTS], value, (Kind::Float, Device::Cpu)));
    let law: TimeDistribution = serde_json::from_value(json!({"kind": "subset-shared", "p_cond": 0.5}))?;
    let config = Adamw { lr: RATE, warmup: 0, decay: Decay::Constant, weight_decay: 0.0, max_grad_norm: 0.0 };
    let mut optimizer = Optimizer::new(config, u64::MAX, 0.0, denoiser.parameters())?;
    let mut step = 0;
    let work =
        format!("{steps} training steps, residual MLP {BLOCKS} blocks width {width}, batch {batch}, {precision:?}");
    let mut line = clock.time(work, || {
        for _ in 0..steps {
            let loss =
                denoising_loss(denoiser.as_ref(), &latents, &law, &LossOptions::default(), DrawKey { seed: 1, step })?
                    .loss;
            loss.f_backward()?;
            drop(optimizer.step(&loss, u64::from(step), RATE)?);
            step += 1;
        }
        Ok(())
    })?;
    line.params = Some(network::weights(denoiser.as_ref()));
    line.gflop = Some((flop(denoiser.as_ref()) * batch * i64::from(steps)) as f64 / 1e9);
    Ok((line, found))
}

/// The backward pass costs twice the forward pass, except that the first two layers need no gradient of their inputs.
fn flop(denoiser: &dyn Denoiser) -> i64 {
    let parameters = denoiser.parameters().into_iter();
    let first = parameters.filter(|(name, _)| name == "input.weight" || name == "time.0.weight");
    3 * network::flop(denoiser) - first.map(|(_, weight)| 2 * weight.numel() as i64).sum::<i64>()
}

/// The prediction for a batch, and the gradients of its mean square.
fn prediction(denoiser: &dyn Denoiser, given: &Tensors) -> Result<Tensors> {
    let x = network::tensor(given, "x")?;
    let t = network::tensor(given, "t")?;
    let x = x.f_split(ELEMENTS, 1)?;
    let output = Tensor::f_cat(&denoiser.predict(&DenoiserInput::new(x, t.shallow_clone(), t.f_ones_like()?))?, 1)?;
    output.f_square()?.f_mean(Kind::Float)?.f_backward()?;
    let mut found = Tensors::new();
    for (name, mut parameter) in denoiser.parameters() {
        found.insert(format!("gradient.{name}"), parameter.f_grad()?.f_detach_copy()?);
        parameter.zero_grad();
    }
    found.insert("output".into(), output.f_detach()?);
    Ok(found)
}
