//! The cost of coupling: a step of two streams together, compared with a step of each alone, all guided by a prompt.

use std::time::{Duration, Instant};

use anyflow_config::sampler::Ddim;
use anyflow_diffusion::{Branch, Engine, EngineConfig, Observed, Request, Sampling};
use criterion::{Criterion, Throughput};
use tch::{Device, Kind, Tensor};

use crate::network;

const ROWS: u64 = 64;
const STREAMS: [&str; 4] = ["short", "map", "vector", "long"];

pub fn bench(criterion: &mut Criterion) {
    let denoisers = [("d".to_string(), network::coupled())];
    let engine = Engine::start(denoisers.into(), EngineConfig::new(Device::Cpu)).unwrap();
    for (name, pair) in [("a map and a vector", ["map", "short"]), ("two vectors", ["vector", "long"])] {
        let mut group = criterion.benchmark_group(format!("coupled step, 64 rows, {name}"));
        group.throughput(Throughput::Elements(ROWS));
        group.bench_function("together", |bencher| {
            bencher.iter_custom(|steps| run(&engine, &pair, steps as usize));
        });
        group.bench_function("apart", |bencher| {
            bencher.iter_custom(|steps| pair.iter().map(|one| run(&engine, &[one], steps as usize)).sum());
        });
        group.finish();
    }
}

/// The time to sample these streams, the others absent.
fn run(engine: &Engine, streams: &[&str], steps: usize) -> Duration {
    let state = |name: &str| if streams.contains(&name) { Observed::Noisy } else { Observed::Absent };
    let value = Tensor::f_ones([ROWS as i64, 1, 64], (Kind::Float, Device::Cpu)).unwrap();
    let prompt = ("prompt".to_string(), Observed::Prompt { value, weight: 1.0, instead: None });
    let weights = streams.iter().map(|name| (name.to_string(), 1.0)).collect();
    let request = Request {
        denoiser: "d".to_string(),
        rows: (0..ROWS).collect(),
        states: STREAMS.map(|name| (name.to_string(), state(name))).into_iter().chain([prompt]).collect(),
        sampler: Sampling::new(Ddim { eta: 0.0 }, steps),
        guidance: vec![Branch { dropped: vec!["prompt".to_string()], weights }],
        seed: 1,
        outputs: streams.iter().map(ToString::to_string).collect(),
    };
    let begin = Instant::now();
    engine.handle().submit(request).unwrap().wait().unwrap();
    begin.elapsed()
}
