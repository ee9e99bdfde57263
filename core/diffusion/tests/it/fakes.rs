//! Fake denoisers, and shorthands.

use std::sync::{Arc, Mutex};

use anyflow_config::network::ResidualMlp;
use anyflow_config::sampler::Ddim;
use anyflow_diffusion::{
    BuildOptions, Denoiser, DenoiserInput, Engine, EngineConfig, EngineError, Network, Observed, Parameterization,
    Precision, Request, Result, Sampling, Schedule, StreamKind, StreamSpec, build, noise,
};
use tch::{Device, Kind, Tensor};

pub fn stream(name: &str, shape: &[i64], schedule: Schedule, parameterization: Parameterization) -> StreamSpec {
    StreamSpec { name: name.to_string(), shape: shape.to_vec(), schedule, parameterization, kind: StreamKind::Diffused }
}

/// The exact denoiser of data N(mean, std^2), the same in every coordinate of every stream.
pub struct Gaussian {
    pub streams: Vec<StreamSpec>,
    pub mean: f64,
    pub std: f64,
}

impl Gaussian {
    /// E[x0 | x] = mean + gain (x - a mean) with gain = a d^2 / (a^2 d^2 + s^2); returns (gain, offset).
    pub fn x0_coefficients(&self, schedule: &Schedule, t: f64) -> (f64, f64) {
        let a = schedule.signal(t);
        let s = schedule.noise(t);
        let variance = self.std * self.std;
        let gain = a * variance / (a * a * variance + s * s);
        (gain, self.mean - gain * a * self.mean)
    }

    /// The point to which the probability-flow ODE takes `x` from the last time to `t`: a fixed number of stds from the
    /// mean.
    pub fn point(&self, schedule: &Schedule, x: f64, t: f64) -> f64 {
        let law = |t: f64| {
            let a = schedule.signal(t);
            let s = schedule.noise(t);
            (a * self.mean, (a * a * self.std * self.std + s * s).sqrt())
        };
        let ((mean, spread), (mean_t, spread_t)) = (law(schedule.t_max()), law(t));
        mean_t + spread_t * (x - mean) / spread
    }

    /// The point to which it takes `x` at time 0.
    pub fn end_point(&self, schedule: &Schedule, x: f64) -> f64 {
        self.point(schedule, x, 0.0)
    }
}

impl Denoiser for Gaussian {
    fn streams(&self) -> &[StreamSpec] {
        &self.streams
    }

    fn predict(&self, batch: &DenoiserInput) -> Result<Vec<Tensor>> {
        let times = Vec::<f32>::try_from(batch.t().unwrap().flatten(0, -1)).unwrap();
        let outputs = self.streams.iter().enumerate().map(|(index, stream)| {
            let rows = times.iter().skip(index).step_by(self.streams.len());
            let columns: Vec<[f32; 4]> = rows
                .map(|t| {
                    let t = f64::from(*t);
                    let (gain, offset) = self.x0_coefficients(&stream.schedule, t);
                    [gain, offset, stream.schedule.signal(t), stream.schedule.noise(t)].map(|value| value as f32)
                })
                .collect();
            let column = |number: usize| {
                let values: Vec<f32> = columns.iter().map(|row| row[number]).collect();
                let shape: Vec<i64> = std::iter::once(-1).chain(stream.shape.iter().map(|_| 1)).collect();
                Tensor::from_slice(&values).view(shape.as_slice())
            };
            let x = &batch.x[index];
            let a = column(2);
            let s = column(3);
            let x0 = column(0) * x + column(1);
            let eps = (x - &a * &x0) / &s;
            Ok(match stream.parameterization {
                Parameterization::Eps => eps,
                Parameterization::X0 => x0,
                Parameterization::V => a * eps - s * x0,
                Parameterization::Flow => eps - x0,
            })
        });
        outputs.collect()
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        Vec::new()
    }
}

/// The inputs that a [`Probe`] has seen.
#[derive(Default)]
pub struct Seen {
    pub rows: Vec<i64>,
    pub x: Vec<Vec<Tensor>>,
}

type Rule = Box<dyn Fn(&DenoiserInput) -> Result<Vec<Tensor>> + Send>;

/// Records its inputs and answers by a rule.
pub struct Probe {
    pub streams: Vec<StreamSpec>,
    pub seen: Arc<Mutex<Seen>>,
    pub rule: Rule,
}

impl Probe {
    pub fn new(
        streams: &[StreamSpec],
        rule: impl Fn(&DenoiserInput) -> Result<Vec<Tensor>> + Send + 'static,
    ) -> (Self, Arc<Mutex<Seen>>) {
        let seen = Arc::new(Mutex::new(Seen::default()));
        (Probe { streams: streams.to_vec(), seen: seen.clone(), rule: Box::new(rule) }, seen)
    }
}

impl Denoiser for Probe {
    fn streams(&self) -> &[StreamSpec] {
        &self.streams
    }

    fn predict(&self, batch: &DenoiserInput) -> Result<Vec<Tensor>> {
        let mut seen = self.seen.lock().unwrap();
        seen.rows.push(batch.rows());
        seen.x.push(batch.x.iter().map(Tensor::copy).collect());
        drop(seen);
        (self.rule)(batch)
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        Vec::new()
    }
}

/// Two streams of different shapes, schedules and parameterizations.
pub fn two_streams() -> Vec<StreamSpec> {
    vec![
        stream("left", &[3], Schedule::vp_linear(), Parameterization::X0),
        stream("right", &[2, 2], Schedule::cosine(), Parameterization::V),
    ]
}

/// Builds on the CPU.
pub fn on_cpu(precision: Precision, seed: u64) -> BuildOptions {
    BuildOptions::new(precision, Device::Cpu, seed)
}

/// A residual MLP with all other options left at their defaults.
pub fn residual_mlp(width: i64, blocks: usize) -> Network {
    Network::Part(ResidualMlp { width, blocks, ..ResidualMlp::default() }.into())
}

/// A residual MLP whose output layer is not zero.
pub fn stirred_mlp(streams: &[StreamSpec]) -> Box<dyn Denoiser> {
    let network = build(&residual_mlp(32, 2), streams, &on_cpu(Precision::F32, 3)).unwrap();
    let _no_grad = tch::no_grad_guard();
    for (name, mut parameter) in network.parameters() {
        if name == "output.weight" {
            let stir = noise::normals_tensor(1, &[0], "stir", 0, &parameter.size(), Device::Cpu).unwrap();
            parameter.copy_(&(stir.squeeze_dim(0) * 0.1));
        }
    }
    network
}

pub fn engine(denoisers: Vec<(&str, Box<dyn Denoiser>)>, max_batch_rows: usize) -> Engine {
    // Networks of this size lose by more threads, above all if those wait actively on a busy machine.
    tch::set_num_threads(1);
    let denoisers = denoisers.into_iter().map(|(name, denoiser)| (name.to_string(), denoiser)).collect();
    Engine::start(denoisers, EngineConfig { max_batch_rows, ..EngineConfig::new(Device::Cpu) }).unwrap()
}

/// A request to the denoiser "d" that generates both of [`two_streams`].
pub fn joint(rows: impl IntoIterator<Item = u64>, sampler: Sampling) -> Request {
    Request {
        denoiser: "d".to_string(),
        rows: rows.into_iter().collect(),
        states: [("left".to_string(), Observed::Noisy), ("right".to_string(), Observed::Noisy)].into(),
        sampler,
        guidance: Vec::new(),
        seed: 11,
        outputs: vec!["left".to_string(), "right".to_string()],
    }
}

/// [`joint`], with "right" observed.
pub fn conditional(rows: impl IntoIterator<Item = u64>, sampler: Sampling, right: Tensor) -> Request {
    let mut request = joint(rows, sampler);
    request.states.insert("right".to_string(), Observed::Clean(right));
    request
}

pub fn ddim(steps: usize) -> Sampling {
    Sampling::new(Ddim { eta: 0.0 }, steps)
}

pub fn worst(left: &Tensor, right: &Tensor) -> f64 {
    (left - right).abs().max().double_value(&[])
}

pub fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.flatten(0, -1)).unwrap()
}

pub fn bits(tensor: &Tensor) -> Vec<u32> {
    values(tensor).iter().map(|value| value.to_bits()).collect()
}

pub fn zeros_like_x(batch: &DenoiserInput) -> Result<Vec<Tensor>, EngineError> {
    Ok(batch.x.iter().map(Tensor::zeros_like).collect())
}

pub fn normal(rows: i64, shape: &[i64]) -> Tensor {
    let keys: Vec<u64> = (0..rows as u64).collect();
    noise::normals_tensor(99, &keys, "data", 0, shape, Device::Cpu).unwrap().to_kind(Kind::Float)
}
