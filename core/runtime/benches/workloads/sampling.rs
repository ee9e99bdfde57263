//! One row through many steps of a small network, which shows the overhead of the engine.

use anyflow_config::sampler::Ddim;
use anyflow_diffusion::noise::{START_STEP, normals_tensor};
use anyflow_diffusion::{Engine, EngineConfig, Observed, Precision, Request, Sampling, Schedule};
use anyhow::{Context, Result};
use tch::{Device, Tensor};

use crate::network::{self, Score, Tensors};
use crate::report::{Clock, Line};

const STREAM: &str = "x";
const ELEMENTS: i64 = 16;
const STEPS: usize = 200;
const SEED: u64 = 3;

/// DDIM with a network of width 64: one request of one row.
pub fn run(given: &Tensors, clock: Clock) -> Result<(Line, Tensors)> {
    let streams = [network::stream(STREAM, ELEMENTS, Schedule::scaled_linear())];
    let denoiser = Score { width: 64, blocks: 4, embedding: 16 }.build(&streams, Precision::F32, given)?;
    let params = network::weights(denoiser.as_ref());
    let flop = network::flop(denoiser.as_ref());
    let engine = Engine::start([("d".to_string(), denoiser)].into(), EngineConfig::new(Device::Cpu))?;
    let mut sample = None;
    let mut line = clock.time(format!("DDIM {STEPS} steps, one row, residual MLP 4 blocks width 64"), || {
        let sampled = engine.handle().submit(request())?.wait()?;
        sample = sampled.streams.get(STREAM).map(Tensor::shallow_clone);
        Ok(())
    })?;
    line.params = Some(params);
    line.gflop = Some((flop * STEPS as i64) as f64 / 1e9);
    let start = normals_tensor(SEED, &[0], STREAM, START_STEP, &[ELEMENTS], Device::Cpu)?;
    let sample = sample.context("the request was not answered")?;
    Ok((line, [("start".to_string(), start), ("sample".to_string(), sample)].into()))
}

fn request() -> Request {
    Request {
        denoiser: "d".to_string(),
        rows: vec![0],
        states: [(STREAM.to_string(), Observed::Noisy)].into(),
        sampler: Sampling::new(Ddim { eta: 0.0 }, STEPS),
        guidance: Vec::new(),
        seed: SEED,
        outputs: vec![STREAM.to_string()],
    }
}
