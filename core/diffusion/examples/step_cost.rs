//! What a step costs on the compute thread: microseconds of its own CPU time, so that other processes count little.
//! `cargo run --release -p anyflow-diffusion --example step_cost`. "none" is a network that does nothing: what is left is
//! the engine. Linux only.

#![allow(clippy::print_stdout, reason = "it is what an example is for")]

use anyflow_diffusion::{
    Branch, Denoiser, DenoiserInput, Dropped, Engine, EngineConfig, EngineHandle, Network, Observed, Parameterization,
    Request, Result, Sampler, Schedule, StreamSpec, build,
};
use tch::{Device, Tensor};

const STEPS: usize = 2000;
const WIDTH: i64 = 64;

/// Answers what it is asked.
struct Nothing(Vec<StreamSpec>);

impl Denoiser for Nothing {
    fn streams(&self) -> &[StreamSpec] {
        &self.0
    }

    fn predict(&self, batch: &DenoiserInput) -> Result<Vec<Tensor>> {
        Ok(batch.x.iter().map(Tensor::shallow_clone).collect())
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        Vec::new()
    }
}

/// CPU time of the compute thread so far, in nanoseconds.
fn spent(engine: &EngineHandle) -> Result<f64> {
    engine.call(|| {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(f64::NAN)
    })
}

fn request(streams: &[StreamSpec], rows: std::ops::Range<u64>, sampler: Sampler, guidance: Vec<Branch>) -> Request {
    Request {
        denoiser: "d".to_string(),
        rows: rows.collect(),
        states: streams.iter().map(|stream| (stream.name.clone(), Observed::Noisy)).collect(),
        sampler: sampler.into(),
        guidance,
        seed: 1,
        outputs: vec![streams[0].name.clone()],
    }
}

/// The least of several runs, per step.
fn measure(engine: &EngineHandle, requests: impl Fn() -> Vec<Request>) -> Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..7 {
        let (before, steps) = (spent(engine)?, engine.stats().steps);
        for ticket in engine.submit_all(requests())? {
            ticket.wait()?;
        }
        least = least.min((spent(engine)? - before) / (engine.stats().steps - steps) as f64 / 1000.0);
    }
    Ok(least)
}

fn main() -> Result<()> {
    tch::set_num_threads(1);
    for streams in [1, 4] {
        let streams: Vec<StreamSpec> = (0..streams)
            .map(|place| StreamSpec {
                name: format!("s{place}"),
                shape: vec![WIDTH / streams],
                schedule: Schedule::vp_linear(),
                parameterization: Parameterization::X0,
            })
            .collect();
        let mlp = build(&Network::ResidualMlp { width: WIDTH, blocks: 4 }, &streams, Device::Cpu, 1)?;
        let denoisers: [(&str, Box<dyn Denoiser>); 2] =
            [("none", Box::new(Nothing(streams.clone()))), ("width 64", mlp)];
        for (name, denoiser) in denoisers {
            let engine = Engine::start([("d".to_string(), denoiser)].into(), EngineConfig::new(Device::Cpu))?;
            let (engine, steps) = (engine.handle(), STEPS);
            let ddim = |eta| Sampler::Ddim { steps, eta };
            let branch = Branch {
                dropped: streams[1..].iter().map(|stream| stream.name.clone()).collect(),
                drop: Dropped::Absent,
                weights: [(streams[0].name.clone(), 1.0)].into(),
            };
            let guided = if streams.len() > 1 { vec![branch] } else { Vec::new() };
            let one =
                |sampler: Sampler| measure(&engine, || vec![request(&streams, 0..1, sampler.clone(), Vec::new())]);
            let mixed = || (0..8).map(|row| request(&streams, row..row + 1, ddim(0.0), Vec::new())).collect();
            println!(
                "{} streams, {name:8}: ddim {:5.1}, eta 1 {:5.1}, dpmpp-2m {:5.1}, guided {:5.1}, 8 requests {:5.1} us a step",
                streams.len(),
                one(ddim(0.0))?,
                one(ddim(1.0))?,
                one(Sampler::Dpmpp2m { steps })?,
                measure(&engine, || vec![request(&streams, 0..1, ddim(0.0), guided.clone())])?,
                measure(&engine, mixed)?,
            );
        }
    }
    Ok(())
}
