//! One step of the engine: network call, fused update, bookkeeping. A request of many steps, divided by their number.

use std::time::{Duration, Instant};

use anyflow_config::sampler::{Ddim, Ddpm, Unipc};
use anyflow_diffusion::{Engine, EngineConfig, Observed, Request, Sampling};
use criterion::{BenchmarkId, Criterion, Throughput};
use tch::Device;

use crate::network;

pub fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine step, width 64");
    for rows in [1, 16, 256] {
        let denoisers = [("d".to_string(), network::two_streams(64, 4))];
        let engine = Engine::start(denoisers.into(), EngineConfig::new(Device::Cpu)).unwrap();
        group.throughput(Throughput::Elements(rows));
        for (name, sampler) in [("ddim", ddim as fn(usize) -> Sampling), ("ddpm", ddpm), ("unipc", unipc)] {
            group.bench_function(BenchmarkId::new(name, rows), |bencher| {
                bencher.iter_custom(|steps| run(&engine, rows, sampler(steps as usize)));
            });
        }
    }
    group.finish();
}

fn ddim(steps: usize) -> Sampling {
    Sampling::new(Ddim { eta: 0.0 }, steps)
}

fn ddpm(steps: usize) -> Sampling {
    Sampling::new(Ddpm {}, steps)
}

fn unipc(steps: usize) -> Sampling {
    Sampling::new(Unipc {}, steps)
}

fn run(engine: &Engine, rows: u64, sampler: Sampling) -> Duration {
    let request = Request {
        denoiser: "d".to_string(),
        rows: (0..rows).collect(),
        states: ["left", "right"].map(|name| (name.to_string(), Observed::Noisy)).into(),
        sampler,
        guidance: Vec::new(),
        seed: 1,
        outputs: vec!["left".to_string()],
    };
    let begin = Instant::now();
    engine.handle().submit(request).unwrap().wait().unwrap();
    begin.elapsed()
}
