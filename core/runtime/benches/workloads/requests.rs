//! Many small simultaneous requests of different lengths, the same as in the peers' `peer_requests.py`.

use std::ops::Range;

use anyflow_config::sampler::Ddim;
use anyflow_diffusion::noise::{START_STEP, normals_tensor};
use anyflow_diffusion::{Engine, EngineConfig, Observed, Precision, Request, Sampling, Schedule};
use anyhow::Result;
use tch::{Device, Tensor};

use crate::network::{self, Score, Tensors};
use crate::report::{Clock, Line};

const STREAM: &str = "x";
const ELEMENTS: i64 = 128;
const SEED: u64 = 3;

/// Submits all requests at once to one engine. `given` holds `rows` and `steps` per request. Without it there are 64
/// requests with one to four rows and 10, 20, 30 or 50 steps.
pub fn run(given: &Tensors, clock: Clock) -> Result<(Line, Tensors)> {
    let list = list(given)?;
    let schedule = Schedule::cosine();
    let streams = [network::stream(STREAM, ELEMENTS, schedule.clone())];
    let denoiser = Score { width: 512, blocks: 6, embedding: 128 }.build(&streams, Precision::F32, given)?;
    let params = network::weights(denoiser.as_ref());
    let flop = network::flop(denoiser.as_ref());
    let engine = Engine::start([("d".to_string(), denoiser)].into(), EngineConfig::new(Device::Cpu))?;
    let mut samples: Vec<Tensor> = Vec::new();
    let mut line = clock.time(format!("{} requests, residual MLP 6 blocks width 512", list.len()), || {
        samples.clear();
        for ticket in engine.handle().submit_all(list.iter().map(request).collect())? {
            samples.extend(ticket.wait()?.streams.into_values());
        }
        Ok(())
    })?;
    let row_steps: u64 = list.iter().map(|(rows, steps)| (rows.end - rows.start) * *steps as u64).sum();
    line.params = Some(params);
    line.gflop = Some(flop as f64 * row_steps as f64 / 1e9);
    Ok((line, results(&list, &schedule, &samples)?))
}

/// Row keys and steps of each request.
fn list(given: &Tensors) -> Result<Vec<(Range<u64>, usize)>> {
    let (rows, steps) = if given.is_empty() {
        let cycle = |values: [i64; 4], stride: usize| (0..64).map(|k| values[k / stride % 4]).collect();
        (cycle([1, 2, 3, 4], 1), cycle([10, 20, 30, 50], 4))
    } else {
        let column = |name| Ok::<_, anyhow::Error>(Vec::<i64>::try_from(network::tensor(given, name)?)?);
        (column("rows")?, column("steps")?)
    };
    let mut first = 0;
    let numbered = rows.into_iter().zip(steps).map(|(rows, steps)| {
        let keys = first..first + rows as u64;
        first = keys.end;
        (keys, steps as usize)
    });
    Ok(numbered.collect())
}

fn request((rows, steps): &(Range<u64>, usize)) -> Request {
    Request {
        denoiser: "d".to_string(),
        rows: rows.clone().collect(),
        states: [(STREAM.to_string(), Observed::Noisy)].into(),
        sampler: Sampling::new(Ddim { eta: 0.0 }, *steps),
        guidance: Vec::new(),
        seed: SEED,
        outputs: vec![STREAM.to_string()],
    }
}

/// The inputs for another program to repeat the sampling: the initial noise, and the schedule at the times of each number
/// of steps.
fn results(list: &[(Range<u64>, usize)], schedule: &Schedule, samples: &[Tensor]) -> Result<Tensors> {
    let keys: Vec<u64> = list.iter().flat_map(|(rows, _)| rows.clone()).collect();
    let mut results = Tensors::new();
    results.insert("start".into(), normals_tensor(SEED, &keys, STREAM, START_STEP, &[ELEMENTS], Device::Cpu)?);
    results.insert("sample".into(), Tensor::f_cat(samples, 0)?);
    for (_, steps) in list {
        let times = schedule.times(*steps);
        let column = |value: &dyn Fn(f64) -> f64| times.iter().map(|t| value(*t)).collect::<Vec<f64>>();
        results.insert(format!("time.{steps}"), Tensor::f_from_slice(&times)?);
        results.insert(format!("signal.{steps}"), Tensor::f_from_slice(&column(&|t| schedule.signal(t)))?);
        results.insert(format!("noise.{steps}"), Tensor::f_from_slice(&column(&|t| schedule.noise(t)))?);
    }
    Ok(results)
}
