//! Our side of the workloads that `cargo xtask bench` compares with other programs. Each call runs one workload, with an
//! untimed warm-up, and prints one line of JSON. `cargo bench` names no workload, so it does nothing.
#![allow(clippy::print_stdout, reason = "a command-line program speaks on standard output")]

mod images;
mod latents;
mod limit;
mod network;
mod report;
mod requests;
mod sampling;
mod training;
mod unet;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use crate::network::Tensors;
use crate::report::Clock;

#[derive(Debug, Parser)]
struct Arguments {
    /// Workload to run
    work: Option<Work>,
    /// Weights and inputs of the other program (safetensors); by default, weights are random
    #[arg(long, value_name = "FILE")]
    given: Option<PathBuf>,
    /// File for the results that the other program compares with its own
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Timed repetitions
    #[arg(long, default_value_t = 3)]
    iterations: usize,
    /// Flag that `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Work {
    LimitF32,
    LimitBf16,
    LimitCopy,
    #[value(name = "train-512")]
    Train512,
    #[value(name = "train-512-bf16")]
    Train512Bf16,
    #[value(name = "train-64")]
    Train64,
    #[value(name = "loop-64")]
    Loop64,
    Requests,
    Unet,
    #[value(name = "unet-bf16")]
    UnetBf16,
    UnetTiny,
    Latents,
    Images,
}

fn main() -> Result<()> {
    let Arguments { work: Some(work), given, results, iterations, .. } = Arguments::parse() else { return Ok(()) };
    tch::set_num_threads(1);
    let given = given.map(|path| network::read(&path)).transpose()?.unwrap_or_default();
    let clock = Clock { warmup: 1, iterations };
    let (line, found) = run(work, &given, clock)?;
    if let Some(path) = results {
        network::write(&path, &found)?;
    }
    println!("{}", serde_json::to_string(&line)?);
    Ok(())
}

fn run(work: Work, given: &Tensors, clock: Clock) -> Result<(report::Line, Tensors)> {
    match work {
        Work::LimitF32 => limit::matmul(tch::Kind::Float, clock),
        Work::LimitBf16 => limit::matmul(tch::Kind::BFloat16, clock),
        Work::LimitCopy => limit::copy(clock),
        Work::Train512 => training::run(training::WIDE, given, clock),
        Work::Train512Bf16 => training::run(training::WIDE_BF16, given, clock),
        Work::Train64 => training::run(training::NARROW, given, clock),
        Work::Loop64 => sampling::run(given, clock),
        Work::Requests => requests::run(given, clock),
        Work::Unet => unet::run(unet::SD15, given, clock),
        Work::UnetBf16 => unet::run(unet::SD15_BF16, given, clock),
        Work::UnetTiny => unet::run(unet::TINY, given, clock),
        Work::Latents => latents::run(clock),
        Work::Images => images::run(given, clock),
    }
}
