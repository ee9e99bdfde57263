//! Sounds from and to files: `cargo bench -p anyflow-plugin-audio`.
#![allow(clippy::unwrap_used)] // a benchmark that cannot run stops

use std::hint::black_box;
use std::time::Duration;

use anyflow_audio::{LogMel, Waveform};
use anyflow_sdk::{Cell, Codec, OwnedCell, Parameters};
use criterion::Criterion;
use serde_json::json;

const RATE: usize = 8_000;

fn main() {
    let timing = Criterion::default().sample_size(10);
    let timing = timing.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(800));
    let mut criterion = timing.configure_from_args();
    let waveform = Waveform::new(&Parameters::new(json!({"sample_rate": RATE, "samples": RATE / 2}))).unwrap();
    let log_mel = json!({"sample_rate": RATE, "bands": 40, "frames": 32, "seconds": 0.5});
    let log_mel = LogMel::new(&Parameters::new(log_mel)).unwrap();
    // Half a second of a gliding tone.
    let tone = |at: usize| 0.5 * (0.05 * at as f32 * (1.0 + at as f32 / RATE as f32)).sin();
    let sound: Vec<f32> = (0..RATE / 2).map(tone).collect();
    let OwnedCell::Bytes(file) = waveform.decode(&sound).unwrap() else { panic!("a sound is bytes") };
    bench(&mut criterion, "waveform", &waveform, &file, RATE / 2);
    bench(&mut criterion, "log-mel", &log_mel, &file, 40 * 32);
    criterion.final_summary();
}

fn bench<C: Codec<Element = f32>>(criterion: &mut Criterion, name: &str, codec: &C, file: &[u8], elements: usize) {
    let mut array = vec![0.0; elements];
    let mut group = criterion.benchmark_group(format!("{name}, half a second"));
    group.bench_function("encode", |bencher| {
        bencher.iter(|| codec.encode(Cell::Bytes(black_box(file)), &mut array).unwrap());
    });
    group.bench_function("decode", |bencher| bencher.iter(|| codec.decode(black_box(&array)).unwrap()));
    group.finish();
}
