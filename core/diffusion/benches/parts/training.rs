//! A training step, and the cost of drawing its times and noise.

use anyflow_diffusion::{DrawKey, Draws, LossOptions, TimeDistribution, denoising_loss};
use criterion::{BatchSize, BenchmarkId, Criterion};
use serde_json::json;
use tch::{Device, Kind, Tensor};

use crate::network;

pub fn bench(criterion: &mut Criterion) {
    let law: TimeDistribution = serde_json::from_value(json!({"kind": "subset-shared", "p_cond": 0.5})).unwrap();
    let options = LossOptions::default();
    let mut group = criterion.benchmark_group("training, width 64");
    for rows in [16, 256] {
        let network = network::two_streams(64, 4);
        let latents = [64, 64].map(|elements| Tensor::ones([rows, elements], (Kind::Float, Device::Cpu)));
        let loss =
            || denoising_loss(network.as_ref(), &latents, &law, &options, DrawKey { seed: 1, step: 0 }).unwrap().loss;
        group.bench_function(BenchmarkId::new("draw", rows), |bencher| {
            bencher.iter(|| law.draw(network.streams(), rows as usize, 1, 0));
        });
        group.bench_function(BenchmarkId::new("loss", rows), |bencher| bencher.iter(loss));
        group.bench_function(BenchmarkId::new("backward", rows), |bencher| {
            bencher.iter_batched(loss, |loss| loss.backward(), BatchSize::PerIteration);
        });
    }
    group.finish();
}
