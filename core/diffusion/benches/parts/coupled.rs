//! What it costs that two streams see one another: a step of both together, beside a step of each alone.

use std::time::{Duration, Instant};

use anyflow_diffusion::{Engine, EngineConfig, Observed, Request, Sampler};
use criterion::{Criterion, Throughput};
use tch::Device;

use crate::network;

const ROWS: u64 = 64;

pub fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("coupled step, 64 rows");
    group.throughput(Throughput::Elements(ROWS));
    let denoisers = [("d".to_string(), network::coupled())];
    let engine = Engine::start(denoisers.into(), EngineConfig::new(Device::Cpu)).unwrap();
    group.bench_function("together", |bencher| {
        bencher.iter_custom(|steps| run(&engine, &["map", "vector"], steps as usize));
    });
    group.bench_function("apart", |bencher| {
        bencher.iter_custom(|steps| run(&engine, &["map"], steps as usize) + run(&engine, &["vector"], steps as usize));
    });
    group.finish();
}

/// The time to sample these streams, the others absent.
fn run(engine: &Engine, streams: &[&str], steps: usize) -> Duration {
    let state = |name: &str| if streams.contains(&name) { Observed::Noisy } else { Observed::Absent };
    let request = Request {
        denoiser: "d".to_string(),
        rows: (0..ROWS).collect(),
        states: ["map", "vector"].map(|name| (name.to_string(), state(name))).into(),
        sampler: Sampler::Ddim { steps, eta: 0.0 }.into(),
        guidance: Vec::new(),
        seed: 1,
        outputs: streams.iter().map(ToString::to_string).collect(),
    };
    let begin = Instant::now();
    engine.handle().submit(request).unwrap().wait().unwrap();
    begin.elapsed()
}
