//! Parts of the engine, each alone: `cargo bench -p anyflow-diffusion`.
#![allow(clippy::unwrap_used)] // a benchmark that cannot run stops

mod coupled;
mod engine;
mod network;
mod noise;
mod sampler;
mod training;

use std::time::Duration;

use criterion::Criterion;

fn main() {
    // Networks of these sizes lose by more threads.
    tch::set_num_threads(1);
    let timing = Criterion::default().sample_size(10);
    let timing = timing.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(800));
    let mut criterion = timing.configure_from_args();
    sampler::bench(&mut criterion);
    noise::bench(&mut criterion);
    engine::bench(&mut criterion);
    coupled::bench(&mut criterion);
    training::bench(&mut criterion);
    criterion.final_summary();
}
