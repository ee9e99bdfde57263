//! The networks: their numbers, their sizes, their gradients; frozen and in bf16.

use anyflow_config::network::{self as config, UnetMlp};
use anyflow_diffusion::{
    Denoiser, DenoiserInput, DrawKey, LossOptions, MlpLayers, Modulation, Network, Parameterization, Precision,
    ResidualMlp, Schedule, StreamSpec, TimeFeatures, TimeRun, build, noise,
};
use serde_json::{Map, Value};
use tch::{Device, Kind, Tensor};

use crate::fakes::{normal, on_cpu, stream, two_streams, worst};

/// Tolerance for outputs of order one, in f32, with the same numbers summed in another order.
const F32: f64 = 1e-6;
/// The same for gradients, which sum as many products again.
const F32_GRADIENT: f64 = 1e-5;
/// f32 against f64: the fastest time feature has an angle of up to 100 radians, known to 6e-6.
const F32_AGAINST_F64: f64 = 1e-5;
/// Root mean square, through up to twenty layers whose products are rounded to 8 bits.
const BF16: f64 = 3e-2;

/// A declared network, or a residual MLP with other layers.
#[derive(Debug)]
enum Case {
    Declared(Network),
    Mlp(config::ResidualMlp, MlpLayers),
}

impl Case {
    /// A network of goldens/networks.py.
    fn of_golden(mut network: Map<String, Value>) -> Case {
        let mut take = |key: &str| network.shift_remove(key);
        let (modulation, time, presence) = (take("modulation"), take("time"), take("presence"));
        let Some(modulation) = modulation else {
            return Case::Declared(serde_json::from_value(network.into()).unwrap());
        };
        let layers = MlpLayers {
            modulation: if modulation == "shift" { Modulation::Shift } else { Modulation::ScaleShift },
            time: if time.unwrap() == "raw" { TimeFeatures::Raw } else { TimeFeatures::Fourier },
            embedding: take("embedding").unwrap().as_i64(),
            presence: presence.unwrap().as_bool().unwrap(),
        };
        let config: config::Part = serde_json::from_value(network.into()).unwrap();
        let config::Part::ResidualMlp(config) = config else { panic!("{config:?}") };
        Case::Mlp(config, layers)
    }

    fn build(&self, streams: &[StreamSpec], precision: Precision, seed: u64) -> Box<dyn Denoiser> {
        let options = on_cpu(precision, seed);
        match self {
            Case::Declared(network) => build(network, streams, &options).unwrap(),
            Case::Mlp(config, layers) => ResidualMlp::build(streams, config, *layers, &options).unwrap(),
        }
    }
}

/// See `fill` of goldens/networks.py.
fn fill(name: &str, shape: &[i64], scale: f64, offset: f64) -> Tensor {
    let hash =
        name.bytes().enumerate().map(|(index, letter)| u64::from(letter) * (index as u64 + 1)).sum::<u64>() % 101;
    let count: i64 = shape.iter().product();
    let value = |i| (offset + scale * (1.0 + 0.7 * hash as f64 + 0.9 * i as f64).sin()) as f32;
    Tensor::from_slice(&(0..count).map(value).collect::<Vec<f32>>()).view(shape)
}

fn set_parameters(network: &dyn Denoiser) {
    let _no_grad = tch::no_grad_guard();
    for (name, mut parameter) in network.parameters() {
        let shape = parameter.size();
        let (scale, offset) = match shape.as_slice() {
            [_, from] => (1.0 / (*from as f64).sqrt(), 0.0),
            _ if name.ends_with("weight") => (0.2, 1.0),
            _ => (0.1, 0.0),
        };
        parameter.copy_(&fill(&name, &shape, scale, offset));
    }
}

/// The rows of goldens/networks.py.
fn runs() -> Vec<TimeRun> {
    let run = |row: usize| TimeRun {
        t: vec![(0.05 + 0.23 * row as f64) as f32, (0.9 - 0.21 * row as f64) as f32],
        present: vec![1.0, if row == 3 { 0.0 } else { 1.0 }],
        rows: 1,
    };
    (0..4).map(run).collect()
}

fn x() -> Vec<Tensor> {
    vec![fill("x0", &[4, 3], 1.3, 0.0), fill("x1", &[4, 2, 2], 1.3, 0.0)]
}

/// As tensors, as in training.
fn as_tensors(input: &DenoiserInput) -> DenoiserInput {
    let x = input.x.iter().map(Tensor::shallow_clone).collect();
    DenoiserInput::new(x, input.t().unwrap(), input.present().unwrap())
}

fn flat(outputs: Vec<Tensor>) -> Tensor {
    Tensor::cat(&outputs.iter().map(|output| output.flatten(1, -1)).collect::<Vec<_>>(), 1).detach()
}

fn rms(tensor: &Tensor) -> f64 {
    tensor.square().mean(Kind::Double).double_value(&[]).sqrt()
}

#[test]
fn networks_match_the_reference_trained_frozen_and_in_bf16() {
    let golden: Value = serde_json::from_str(include_str!("../goldens/networks.json")).unwrap();
    assert_eq!(golden.as_array().unwrap().len(), 5);
    for case in golden.as_array().unwrap() {
        let network = Case::of_golden(case["network"].as_object().unwrap().clone());
        let rows: Vec<Vec<f64>> = serde_json::from_value(case["outputs"].clone()).unwrap();
        let expected = Tensor::from_slice(&rows.concat()).view([4, 7]);
        assert!(rms(&expected) > 0.1);
        for (precision, tolerance) in [(Precision::F32, F32_AGAINST_F64), (Precision::Bf16, BF16)] {
            let mut built = network.build(&two_streams(), precision, 0);
            set_parameters(built.as_ref());
            let sampling = DenoiserInput::sampling(x(), runs());
            let check = |built: &dyn Denoiser, what: &str| {
                for input in [&sampling, &as_tensors(&sampling)] {
                    let found = flat(built.predict(input).unwrap());
                    assert_eq!(found.kind(), Kind::Float);
                    let off = rms(&(found.to_kind(Kind::Double) - &expected)) / rms(&expected);
                    assert!(off < tolerance, "{network:?} {precision:?} {what}: {off}");
                    assert!(precision == Precision::F32 || off > F32_AGAINST_F64, "bf16 was not used");
                }
            };
            check(built.as_ref(), "trained");
            built.freeze().unwrap();
            check(built.as_ref(), "frozen");
            // From the cache.
            check(built.as_ref(), "frozen, again");
        }
    }
}

fn mlp(width: i64, blocks: usize) -> config::ResidualMlp {
    config::ResidualMlp { width, blocks, ..config::ResidualMlp::default() }
}

/// The layers of the peer: scale and shift from raw times, without presence.
fn peer(embedding: i64) -> MlpLayers {
    MlpLayers {
        modulation: Modulation::ScaleShift,
        time: TimeFeatures::Raw,
        embedding: Some(embedding),
        presence: false,
    }
}

fn kinds() -> Vec<Case> {
    let declared = |part: config::Part| Case::Declared(Network::Part(part));
    vec![
        declared(mlp(32, 3).into()),
        Case::Mlp(mlp(32, 3), peer(16)),
        declared(UnetMlp { width: 32, embedding: 24, groups: 8 }.into()),
    ]
}

fn input(runs: &[(f32, f32, f32, usize)]) -> DenoiserInput {
    let rows: usize = runs.iter().map(|run| run.3).sum();
    let run = |(left, right, present, rows): &(f32, f32, f32, usize)| TimeRun {
        t: vec![*left, *right],
        present: vec![1.0, *present],
        rows: *rows,
    };
    DenoiserInput::sampling(
        vec![normal(rows as i64, &[3]), normal(rows as i64, &[2, 2])],
        runs.iter().map(run).collect(),
    )
}

#[test]
fn a_frozen_network_predicts_what_it_predicted() {
    for network in kinds() {
        let make = || {
            let built = network.build(&two_streams(), Precision::F32, 5);
            set_parameters(built.as_ref());
            built
        };
        let plain = make();
        let mut frozen = make();
        frozen.freeze().unwrap();
        let batches = [
            input(&[(0.5, 0.5, 1.0, 1)]),
            input(&[(0.5, 0.5, 1.0, 9)]),
            input(&[(0.5, 0.5, 0.0, 3)]),
            input(&[(0.5, 0.5, 1.0, 2), (0.25, 0.0, 1.0, 5), (0.5, 1.0, 0.0, 1), (0.5, 0.5, 1.0, 3)]),
            input(&[(0.1, 0.2, 1.0, 1), (0.3, 0.4, 1.0, 1), (0.1, 0.2, 1.0, 1)]),
        ];
        for batch in batches.iter().chain(&batches) {
            let _no_grad = tch::no_grad_guard();
            let before: Vec<Tensor> = batch.x.iter().map(Tensor::copy).collect();
            let expected = flat(plain.predict(&as_tensors(batch)).unwrap());
            let off = worst(&flat(frozen.predict(batch).unwrap()), &expected) / expected.abs().max().double_value(&[]);
            assert!(off < F32, "{network:?} {:?}: {off}", batch.times);
            assert!(batch.x.iter().zip(&before).all(|(x, before)| x == before), "an input was written to");
        }
        // Guidance needs gradients by x.
        let x = normal(2, &[3]).set_requires_grad(true);
        let ask = |network: &dyn Denoiser| {
            let input = DenoiserInput::sampling(
                vec![x.shallow_clone(), normal(2, &[2, 2])],
                vec![TimeRun { t: vec![0.3, 0.3], present: vec![1.0, 1.0], rows: 2 }],
            );
            let sum = network.predict(&input).unwrap()[1].square().sum(Kind::Float);
            Tensor::run_backward(&[sum], &[&x], false, false).remove(0)
        };
        let expected = ask(plain.as_ref());
        let off = worst(&ask(frozen.as_ref()), &expected) / expected.abs().max().double_value(&[]).max(1.0);
        assert!(off < F32_GRADIENT, "{network:?}: {off}");
    }
}

#[test]
fn gradients_reach_every_parameter_in_f32() {
    for network in kinds() {
        for precision in [Precision::F32, Precision::Bf16] {
            let built = network.build(&two_streams(), precision, 5);
            set_parameters(built.as_ref());
            let batch = as_tensors(&input(&[(0.5, 0.5, 1.0, 2), (0.25, 0.0, 1.0, 5), (0.5, 1.0, 0.0, 1)]));
            let outputs = built.predict(&batch).unwrap();
            let loss = outputs.iter().map(|output| output.square().sum(Kind::Float)).reduce(|a, b| a + b).unwrap();
            loss.backward();
            for (name, parameter) in built.parameters() {
                assert!(parameter.kind() == Kind::Float && parameter.is_leaf(), "{name}");
                let gradient = parameter.grad();
                assert!(gradient.defined() && gradient.kind() == Kind::Float, "{network:?} {name}");
                assert!(gradient.abs().max().double_value(&[]) > 0.0, "{network:?} {name}");
            }
        }
    }
}

/// The parameters of MLD's network, from its layers: D coordinates of M streams, width W, embedding T.
fn unet_count(d: i64, m: i64, w: i64, t: i64) -> i64 {
    let linear = |from: i64, to: i64| from * to + to;
    let narrow = 2 * w + linear(w, w) + linear(t, w) + 2 * w + linear(w, w);
    let wide = 4 * w + linear(2 * w, w) + linear(t, w) + 2 * w + linear(w, w) + linear(2 * w, w);
    let time = linear(m, t) + linear(t, t);
    time + linear(d, w) + 4 * narrow + 3 * wide + 4 * linear(w, w) + 2 * w + linear(w, d)
}

#[test]
fn the_unet_has_the_sizes_of_mlds() {
    // MNIST-SVHN: 16 and 64 coordinates, two widths; MHD: 64, 128 and 16.
    let millions = |count: i64| (count as f64 / 1e4).round() / 100.0;
    assert_eq!([unet_count(80, 2, 256, 256), unet_count(80, 2, 512, 256)].map(millions), [2.35, 8.18]);
    assert_eq!((millions(unet_count(208, 3, 1024, 512)) * 10.0).round() / 10.0, 32.7);
    let streams: Vec<StreamSpec> = [("a", 16), ("b", 64)]
        .map(|(name, size)| stream(name, &[size], Schedule::vp_linear(), Parameterization::Eps))
        .into();
    for width in [64, 256] {
        let network = Network::Part(UnetMlp { width, ..UnetMlp::default() }.into());
        let built = build(&network, &streams, &on_cpu(Precision::F32, 0)).unwrap();
        let count: usize = built.parameters().iter().map(|(_, parameter)| parameter.numel()).sum();
        assert_eq!(count as i64, unet_count(80, 2, width, 256));
    }
}

#[test]
fn the_scale_shift_network_has_the_layers_of_its_peer() {
    // Per block two norms, two square layers and one from the embedding to twice the width; 2 streams, raw times.
    let d = 128;
    let w = 64;
    let e = 128;
    let blocks = 6;
    let streams: Vec<StreamSpec> =
        ["a", "b"].map(|name| stream(name, &[d / 2], Schedule::vp_linear(), Parameterization::Eps)).into();
    let built = Case::Mlp(mlp(w, blocks as usize), peer(e)).build(&streams, Precision::F32, 0);
    let linear = |from: i64, to: i64| from * to + to;
    let block = 4 * w + 2 * linear(w, w) + linear(e, 2 * w);
    let expected = linear(d, w) + linear(2, e) + linear(e, e) + blocks * block + 2 * w + linear(w, d);
    assert_eq!(built.parameters().iter().map(|(_, parameter)| parameter.numel() as i64).sum::<i64>(), expected);
}

#[test]
fn training_in_bf16_learns_nearly_as_well() {
    /// Of a loss near 0.6, after 300 steps of batch 64.
    const TOLERANCE: f64 = 0.02;
    let streams = [stream("x", &[2], Schedule::vp_linear(), Parameterization::X0)];
    let law = serde_json::from_str(r#"{"kind": "shared-all"}"#).unwrap();
    let train = |precision| {
        let network = kinds()[0].build(&streams, precision, 2);
        let parameters: Vec<Tensor> = network.parameters().into_iter().map(|(_, tensor)| tensor).collect();
        let mut last = 0.0;
        for step in 0..300 {
            let keys: Vec<u64> = (0..64).collect();
            // On a line: one coordinate determines the other.
            let along = noise::normals_tensor(3, &keys, "along", step, &[1], Device::Cpu).unwrap();
            let latents = [Tensor::cat(&[&along, &(&along * -1.0)], 1)];
            let options = LossOptions::default();
            let loss = anyflow_diffusion::denoising_loss(
                network.as_ref(),
                &latents,
                &law,
                &options,
                DrawKey { seed: 9, step },
            )
            .unwrap();
            let gradients = Tensor::run_backward(&[&loss.loss], &parameters, false, false);
            let _no_grad = tch::no_grad_guard();
            for (parameter, gradient) in parameters.iter().zip(&gradients) {
                assert_eq!((parameter.kind(), gradient.kind()), (Kind::Float, Kind::Float));
                let _ = parameter.shallow_clone().g_add_(&(gradient * -0.1));
            }
            if step >= 250 {
                last += loss.loss.double_value(&[]) / 50.0;
            }
        }
        last
    };
    let f32 = train(Precision::F32);
    let bf16 = train(Precision::Bf16);
    assert!(f32 < 0.75, "it learns: {f32}");
    assert!(f32 != bf16 && (f32 - bf16).abs() < TOLERANCE, "{f32} {bf16}");
}

#[test]
fn invalid_sizes_are_rejected() {
    let build = |text: &str| {
        let network: Network = serde_json::from_str(text).map_err(|error| error.to_string())?;
        build(&network, &two_streams(), &on_cpu(Precision::F32, 0)).map(|_| ()).map_err(|error| error.to_string())
    };
    assert!(build(r#"{"kind": "unet-mlp", "width": 30, "groups": 8}"#).unwrap_err().contains("divisor"));
    assert!(build(r#"{"kind": "unet-mlp", "width": 0}"#).is_err());
    assert!(ResidualMlp::build(&two_streams(), &mlp(32, 1), peer(0), &on_cpu(Precision::F32, 0)).is_err());
    assert!(build(r#"{"kind": "unet-mlp", "width": 16, "embedding": 8}"#).is_ok());
    assert!(serde_json::from_str::<Network>(r#"{"kind": "unet-mlp", "blocks": 2}"#).is_err());
}
