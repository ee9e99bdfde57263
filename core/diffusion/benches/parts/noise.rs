//! The noise of rows.

use std::hint::black_box;

use anyflow_diffusion::noise::RowNoise;
use criterion::{Criterion, Throughput};

/// A row of four channels of 32 x 32.
const ELEMENTS: usize = 4096;

pub fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("noise of a row");
    group.throughput(Throughput::Elements(ELEMENTS as u64));
    group.bench_function("normals", |bencher| {
        let mut out = vec![0.0; ELEMENTS];
        bencher.iter(|| RowNoise::new(7, black_box(3), "x").normals(1, black_box(&mut out)));
    });
    group.bench_function("uniforms", |bencher| {
        let mut out = vec![0.0; ELEMENTS];
        bencher.iter(|| RowNoise::new(7, black_box(3), "x").uniforms(1, black_box(&mut out)));
    });
    group.finish();
}
