//! The residual MLP: its start, and that it learns a joint distribution and its conditionals.

use anyflow_config::sampler::EulerMaruyama;
use anyflow_config::times::SubsetShared;
use anyflow_diffusion::{
    Denoiser, DenoiserInput, Density, DrawKey, LossOptions, Network, Observed, Parameterization, Per, Precision,
    Request, Sampling, Schedule, StreamSpec, TimeDistribution, build, denoising_loss, noise,
};
use tch::{Device, Kind, Tensor};

use crate::fakes::{bits, ddim, engine, normal, on_cpu, residual_mlp, stirred_mlp, stream, two_streams, values, worst};

fn small(streams: &[StreamSpec], precision: Precision, seed: u64) -> Box<dyn Denoiser> {
    build(&residual_mlp(48, 2), streams, &on_cpu(precision, seed)).unwrap()
}

fn input(rows: i64) -> DenoiserInput {
    let full = |value: f64| Tensor::full([rows, 2], value, (Kind::Float, Device::Cpu));
    DenoiserInput::new(vec![normal(rows, &[3]), normal(rows, &[2, 2])], full(0.4), full(1.0))
}

#[test]
fn parameters_depend_on_the_seed_and_have_stable_names() {
    let make = |seed| small(&two_streams(), Precision::F32, seed);
    let first = make(1).parameters();
    let again = make(1).parameters();
    let other = make(2).parameters();
    let names: Vec<&str> = first.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names[..6],
        ["input.weight", "input.bias", "time.0.weight", "time.0.bias", "time.1.weight", "time.1.bias"]
    );
    assert!(names.contains(&"blocks.1.norm.weight") && names.contains(&"blocks.0.up.weight"));
    assert!(names.contains(&"blocks.1.time.bias") && names.contains(&"blocks.1.down.weight"));
    assert_eq!(names[names.len() - 2..], ["output.weight", "output.bias"]);
    for ((name, tensor), (_, again)) in first.iter().zip(&again) {
        assert_eq!(bits(tensor), bits(again), "{name}");
        assert!(tensor.requires_grad() && tensor.is_leaf() && tensor.kind() == Kind::Float, "{name}");
    }
    assert_ne!(bits(&first[0].1), bits(&other[0].1));
    let std = |name: &str| first.iter().find(|(found, _)| found == name).unwrap().1.std(true).double_value(&[]);
    assert!((std("blocks.0.up.weight") * (3.0f64 * 48.0).sqrt() - 1.0).abs() < 0.1);
    assert!((std("blocks.0.down.weight") * (3.0f64 * 48.0).sqrt() / 0.01 - 1.0).abs() < 0.1);
}

#[test]
fn it_starts_at_zero_and_its_outputs_have_the_shapes_of_the_streams() {
    let network = small(&two_streams(), Precision::F32, 1);
    let outputs = network.predict(&input(5)).unwrap();
    assert_eq!((outputs[0].size(), outputs[1].size()), (vec![5, 3], vec![5, 2, 2]));
    assert!(outputs.iter().all(|output| values(output).iter().all(|value| *value == 0.0)));
    let mut wrong = input(5);
    wrong.x[1] = normal(5, &[4]);
    assert!(network.predict(&wrong).is_err());
}

#[test]
fn absent_values_do_not_matter_but_absence_does() {
    let network = stirred_mlp(&two_streams());
    let predict = |right: f64, present: &[f32]| {
        let mut input = input(1);
        input.x[1] = Tensor::full([1, 2, 2], right, (Kind::Float, Device::Cpu));
        let present = Tensor::from_slice(present).view([1, 2]);
        let input = DenoiserInput::new(input.x, Tensor::full([1, 2], 0.4, (Kind::Float, Device::Cpu)), present);
        network.predict(&input).unwrap().swap_remove(0)
    };
    assert_eq!(bits(&predict(5.0, &[1.0, 0.0])), bits(&predict(-5.0, &[1.0, 0.0])));
    assert_ne!(bits(&predict(0.0, &[1.0, 1.0])), bits(&predict(0.0, &[1.0, 0.0])));
    assert!(worst(&predict(5.0, &[1.0, 1.0]), &predict(-5.0, &[1.0, 1.0])) > 1e-4);
}

#[test]
fn invalid_networks_are_rejected() {
    let parse = serde_json::from_str::<Network>;
    assert_eq!(parse(r#"{"kind": "residual-mlp"}"#).unwrap(), residual_mlp(256, 4));
    assert!(parse(r#"{"kind": "residual-mlp", "depth": 4}"#).is_err());
    let build =
        |streams: &[StreamSpec], width| build(&residual_mlp(width, 1), streams, &on_cpu(Precision::F32, 0)).map(|_| ());
    assert!(build(&[], 8).is_err());
    assert!(build(&two_streams(), 0).is_err());
    assert!(build(&[two_streams().remove(0), two_streams().remove(0)], 8).is_err());
}

/// Adam, Kingma and Ba 2015, with the learning rate falling to 0 along a half cosine.
struct Adam {
    parameters: Vec<Tensor>,
    moments: Vec<(Tensor, Tensor)>,
    steps: i32,
}

impl Adam {
    fn new(network: &dyn Denoiser) -> Self {
        let parameters: Vec<Tensor> = network.parameters().into_iter().map(|(_, tensor)| tensor).collect();
        let zeros = |tensor: &Tensor| (tensor.zeros_like().detach(), tensor.zeros_like().detach());
        Adam { moments: parameters.iter().map(zeros).collect(), parameters, steps: 0 }
    }

    fn step(&mut self, loss: &Tensor, progress: f64) {
        self.parameters.iter_mut().for_each(Tensor::zero_grad);
        loss.backward();
        let _no_grad = tch::no_grad_guard();
        self.steps += 1;
        let rate = 3e-3 * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
        for (parameter, (mean, square)) in self.parameters.iter_mut().zip(&mut self.moments) {
            let gradient = parameter.grad();
            *mean = &*mean * 0.9 + &gradient * 0.1;
            *square = &*square * 0.99 + gradient.square() * 0.01;
            let (mean, square) =
                (&*mean / (1.0 - 0.9f64.powi(self.steps)), &*square / (1.0 - 0.99f64.powi(self.steps)));
            let change = mean / (square.sqrt() + 1e-8) * -rate;
            let _ = parameter.g_add_(&change);
        }
    }
}

/// Pairs of correlation 0.8, unit variance, keyed by the training step: `[row, 1]` each.
fn pairs(rows: usize, step: u32) -> Vec<Tensor> {
    let keys: Vec<u64> = (0..rows as u64).collect();
    let own = |name: &str| noise::normals_tensor(4, &keys, name, step, &[1], Device::Cpu).unwrap();
    let left = own("pairs/left");
    let rest = own("pairs/rest");
    let right = &left * 0.8 + rest * 0.6;
    vec![left, right]
}

#[test]
fn it_learns_a_joint_gaussian_and_its_conditionals() {
    /// Of means and covariances of order one, after 1500 steps and with 4000 samples (standard error 0.016).
    const TOLERANCE: f64 = 0.08;
    let named = |name| stream(name, &[1], Schedule::vp_linear(), Parameterization::V);
    let streams = [named("left"), named("right")];
    let network = small(&streams, Precision::F32, 1);
    let law = TimeDistribution::SubsetShared(SubsetShared {
        p_cond: 0.5,
        p_absent: 0.0,
        per: Per::Sample,
        density: Density::Uniform,
    });
    tch::set_num_threads(1);
    let mut adam = Adam::new(network.as_ref());
    let steps = 1_500;
    for step in 0..steps {
        let latents = pairs(512, step);
        let output =
            denoising_loss(network.as_ref(), &latents, &law, &LossOptions::default(), DrawKey { seed: 7, step })
                .unwrap();
        adam.step(&output.loss, f64::from(step) / f64::from(steps));
    }
    let engine = engine(vec![("d", network)], 4_000);
    let sample = |left: Observed, sampler: Sampling| {
        let request = Request {
            denoiser: "d".to_string(),
            rows: (0..4_000).collect(),
            states: [("left".to_string(), left), ("right".to_string(), Observed::Noisy)].into(),
            sampler,
            guidance: Vec::new(),
            seed: 21,
            outputs: vec!["left".to_string(), "right".to_string()],
        };
        let sampled = engine.handle().submit(request).unwrap().wait().unwrap();
        (values(&sampled.streams["left"]), values(&sampled.streams["right"]))
    };
    for sampler in [ddim(200), Sampling::new(EulerMaruyama {}, 250)] {
        let (left, right) = sample(Observed::Noisy, sampler.clone());
        let found = [mean(&left), mean(&right), product(&left, &left), product(&right, &right), product(&left, &right)];
        let expected = [0.0, 0.0, 1.0, 1.0, 0.8];
        let worst = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs()).fold(0.0, f64::max);
        assert!(worst < TOLERANCE, "joint, {sampler:?}: {found:?}");
        for given in [-1.0, 0.5] {
            let left = Tensor::full([4_000, 1], given, (Kind::Float, Device::Cpu));
            let (left, right) = sample(Observed::Clean(left), sampler.clone());
            assert!(left.iter().all(|value| f64::from(*value) == given));
            let centre = mean(&right);
            let spread = product(&right, &right) - mean(&right).powi(2);
            assert!((centre - 0.8 * given).abs() < TOLERANCE, "given {given}, {sampler:?}: mean {centre}");
            assert!((spread - 0.36).abs() < TOLERANCE, "given {given}, {sampler:?}: variance {spread}");
        }
    }
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64
}

fn product(left: &[f32], right: &[f32]) -> f64 {
    left.iter().zip(right).map(|(left, right)| f64::from(left * right)).sum::<f64>() / left.len() as f64
}
