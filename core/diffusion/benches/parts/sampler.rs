//! Tables of samplers: the cost of a request before its first step.

use std::hint::black_box;

use anyflow_config::sampler::{Ddim, Dpmpp3m, Unipc};
use anyflow_diffusion::{Sampling, Schedule, Solver};
use criterion::Criterion;

pub fn bench(criterion: &mut Criterion) {
    let samplers = [
        ("ddim", Sampling::new(Ddim { eta: 0.0 }, 50)),
        ("dpmpp-3m", Sampling::new(Dpmpp3m {}, 50)),
        ("unipc", Sampling::new(Unipc {}, 50)),
    ];
    let mut group = criterion.benchmark_group("table of 50 steps");
    for (name, sampler) in samplers {
        let schedule = Schedule::vp_linear();
        group.bench_function(name, |bencher| bencher.iter(|| black_box(&sampler).table(black_box(&schedule))));
    }
    group.finish();
}
