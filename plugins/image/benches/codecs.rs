//! Images from and to files: `cargo bench -p anyflow-plugin-image`.
#![allow(clippy::unwrap_used)] // a benchmark that cannot run stops

use std::hint::black_box;
use std::time::Duration;

use anyflow_image::{Gray, Rgb};
use anyflow_sdk::{Cell, Codec, OwnedCell, Parameters};
use criterion::Criterion;
use serde_json::json;

fn main() {
    let timing = Criterion::default().sample_size(10);
    let timing = timing.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(800));
    let mut criterion = timing.configure_from_args();
    bench::<Gray>(&mut criterion, "gray", 28, 1);
    bench::<Rgb>(&mut criterion, "rgb", 128, 3);
    criterion.final_summary();
}

/// An image of smooth waves, so that it compresses as images do.
fn bench<C: Codec<Element = f32>>(criterion: &mut Criterion, name: &str, side: usize, channels: usize) {
    let codec = C::new(&Parameters::new(json!({"height": side, "width": side}))).unwrap();
    let wave = |at: usize| 0.5 + 0.5 * ((at % side) as f32 / 7.0).sin() * ((at / side) as f32 / 11.0).cos();
    let array: Vec<f32> = (0..channels * side * side).map(wave).collect();
    let OwnedCell::Bytes(file) = codec.decode(&array).unwrap() else { panic!("an image is bytes") };
    let mut group = criterion.benchmark_group(format!("{name}, {side} x {side}"));
    group.bench_function("encode", |bencher| {
        let mut out = vec![0.0; array.len()];
        bencher.iter(|| codec.encode(Cell::Bytes(black_box(&file)), &mut out).unwrap());
    });
    group.bench_function("decode", |bencher| bencher.iter(|| codec.decode(black_box(&array)).unwrap()));
    group.finish();
}
