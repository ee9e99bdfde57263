//! Figures of jobs on Ballista, printed: `cargo xtask test --cluster` builds the program, then
//! `cargo test --test cluster_figures -- --ignored --nocapture --test-threads 1` measures.

#![allow(clippy::unwrap_used)] // helpers of tests may panic
#![allow(clippy::print_stdout, reason = "figures are read on standard output")]

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyflow_datasets::Manifest;
use anyflow_tests::{Cluster, Numbers, children};

const RUN: [&str; 8] = ["run", "pipeline.yaml", "--input", "rows.parquet", "--shard-rows", "1", "--batch-rows", "8"];

fn project(rows: u64, built: &[&str]) -> Numbers {
    let numbers = Numbers::new();
    numbers.build(built);
    numbers.write_rows(&(0..rows).map(|row| row as f64).collect::<Vec<_>>(), |_| 0);
    numbers
}

/// Seconds of a command that succeeds.
fn seconds(numbers: &Numbers, output: &str, more: &[&str]) -> f64 {
    let begin = Instant::now();
    numbers.call(&[], &[&RUN[..], &["--output", output], more].concat()).ok();
    begin.elapsed().as_secs_f64()
}

#[test]
#[ignore = "figures: some minutes"]
fn workers_that_wait_scale() {
    // Each shard sleeps half a second, in place of a device that computes.
    const SHARDS: u64 = 160;
    let numbers = project(SHARDS, &["PAUSE_US=500000"]);
    let work = SHARDS as f64 * 0.5;
    for workers in [2, 4, 8] {
        let cluster = Cluster::start(&numbers, workers, &[]);
        let took = seconds(&numbers, &format!("out-{workers}"), &["--on", &cluster.on()]);
        let speed = work / took;
        println!("{workers} workers: {took:.1} s for {work:.0} s of sleep, {:.2} of {workers}", speed / workers as f64);
        assert!(speed > 0.7 * workers as f64, "{workers} workers do {speed:.1} times the work of one");
    }
}

#[test]
#[ignore = "figures: some minutes"]
fn a_shard_costs_little_more() {
    const SHARDS: u64 = 400;
    let numbers = project(SHARDS, &[]);
    let cluster = Cluster::start(&numbers, 1, &[]);
    let few = project(1, &[]);
    // What a command takes for one shard is its start.
    let of = |numbers: &Numbers, name: &str, more: &[&str]| seconds(numbers, &format!("out-{name}"), more);
    let each = |name: &str, more: &[&str]| {
        let [many, one] = [&numbers, &few].map(|numbers| of(numbers, name, more));
        println!(
            "{name}: {one:.2} s for one shard, {:.2} ms for each further one",
            (many - one) / (SHARDS - 1) as f64 * 1e3
        );
        many - one
    };
    let plain = each("plain", &[]);
    let parts = each("parts", &["--shards", "1/1"]);
    let ballista = each("ballista", &["--on", &cluster.on()]);
    println!("beside plain run: --shards {:.2}, Ballista {:.2}", parts / plain, ballista / plain);
}

#[test]
#[ignore = "figures: some minutes"]
fn the_driver_needs_the_same_memory_for_any_number_of_shards() {
    let peaks = [100, 10_000].map(|shards| {
        let numbers = project(shards, &[]);
        let cluster = Cluster::start(&numbers, 2, &[]);
        let on = cluster.on();
        let mut command = numbers.command(&[], &[&RUN[..], &["--output", "out", "--on", &on]].concat());
        let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut peak = 0;
        while running.try_wait().unwrap().is_none() {
            peak = children(running.id()).into_iter().filter_map(peak_of).fold(peak, u64::max);
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(Manifest::read(&numbers.path("out")).unwrap().shards.len() as u64, shards);
        println!("{shards} shards: the driver has a peak of {peak} kB");
        peak
    });
    assert!(peaks[1] < 2 * peaks[0] + 32_768, "{peaks:?} kB");
}

/// The peak of a process's memory, in kB.
fn peak_of(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}
