//! Texts to one-hot rows and back: `cargo bench -p anyflow-plugin-text`.
#![allow(clippy::unwrap_used)] // a benchmark that cannot run stops

use std::hint::black_box;
use std::time::Duration;

use anyflow_sdk::{Cell, Codec, Parameters};
use anyflow_text::{Bytes, Characters, Words};
use criterion::Criterion;
use serde_json::json;

fn main() {
    let timing = Criterion::default().sample_size(10);
    let timing = timing.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(500));
    let mut criterion = timing.configure_from_args();
    let words = json!({"vocabulary": ["", "one", "two", "three"], "length": 8});
    bench(&mut criterion, "words", &Words::new(&Parameters::new(words)).unwrap(), 8 * 4);
    let letters = json!({"alphabet": ["", "e", "h", "n", "o", "r", "t", "w", " "], "length": 32});
    bench(&mut criterion, "characters", &Characters::new(&Parameters::new(letters)).unwrap(), 32 * 9);
    let bytes = json!({"length": 64, "on_long": "fail"});
    bench(&mut criterion, "bytes", &Bytes::new(&Parameters::new(bytes)).unwrap(), 64 * 9);
    criterion.final_summary();
}

fn bench<C: Codec<Element = f32>>(criterion: &mut Criterion, name: &str, codec: &C, elements: usize) {
    let mut array = vec![0.0; elements];
    let mut group = criterion.benchmark_group(name);
    group.bench_function("encode", |bencher| {
        bencher.iter(|| codec.encode(Cell::Utf8(black_box("two one three one two")), &mut array).unwrap());
    });
    group.bench_function("decode", |bencher| bencher.iter(|| codec.decode(black_box(&array)).unwrap()));
    group.finish();
}
