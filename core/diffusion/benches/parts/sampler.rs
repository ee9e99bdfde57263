//! Tables of samplers: the cost of a request before its first step.

use std::hint::black_box;

use anyflow_diffusion::{Sampler, Schedule};
use criterion::Criterion;

pub fn bench(criterion: &mut Criterion) {
    let samplers = [
        ("ddim", Sampler::Ddim { steps: 50, eta: 0.0 }),
        ("dpmpp-3m", Sampler::Dpmpp3m { steps: 50 }),
        ("unipc", Sampler::Unipc { steps: 50 }),
    ];
    let mut group = criterion.benchmark_group("table of 50 steps");
    for (name, sampler) in samplers {
        let schedule = Schedule::vp_linear();
        group.bench_function(name, |bencher| bencher.iter(|| black_box(&sampler).table(black_box(&schedule))));
    }
    group.finish();
}
