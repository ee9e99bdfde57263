//! The U-Net: its numbers against diffusers', and independence of inputs.

use anyflow_config::network::{Part, Unet};
use anyflow_diffusion::{
    BuildOptions, Denoiser, DenoiserInput, EngineError, Network, Parameterization, Precision, PromptUse, Schedule,
    Site, StreamKind, StreamSpec, TimeRun, Tokens, build,
};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

use crate::fakes::{bits, normal, on_cpu, stream, worst};

/// Root mean square of outputs of order one, in f32, through up to a hundred layers summed in another order.
const F32: f64 = 1e-4;
/// The largest difference between the same f32 rows in batches of different sizes.
const ROWS: f64 = 1e-5;
/// Root mean square, through up to a hundred layers whose products are rounded to 8 bits.
const BF16: f64 = 5e-2;

/// See `fill` of goldens/unet.py.
pub fn fill(name: &str, shape: &[i64], scale: f64, offset: f64) -> Tensor {
    let hash = name.bytes().enumerate().fold(0u32, |sum, (index, letter)| sum + u32::from(letter) * (index as u32 + 1));
    let value = |i: u32| {
        let mut s = i.wrapping_mul(0x9E37_79B1).wrapping_add(hash.wrapping_mul(0x85EB_CA6B));
        s = (s ^ (s >> 15)).wrapping_mul(0x2C1B_3C6D);
        s ^= s >> 12;
        (offset + scale * (f64::from(s) / f64::from(1u32 << 31) - 1.0)) as f32
    };
    let count = shape.iter().product::<i64>() as u32;
    Tensor::from_slice(&(0..count).map(value).collect::<Vec<f32>>()).view(shape)
}

/// See `parameter` of goldens/unet.py.
pub fn set_parameters(network: &dyn Denoiser) {
    let _no_grad = tch::no_grad_guard();
    for (name, mut parameter) in network.parameters() {
        let shape = parameter.size();
        let (scale, offset) = match shape.as_slice() {
            [_, inputs @ ..] if !inputs.is_empty() => ((3.0 / inputs.iter().product::<i64>() as f64).sqrt(), 0.0),
            _ if name.ends_with("weight") => (0.2, 1.0),
            _ => (0.1, 0.0),
        };
        parameter.copy_(&fill(&name, &shape, scale, offset));
    }
}

/// See `digest` of goldens/unet.py.
fn digest(network: &dyn Denoiser) -> String {
    let lines = network.parameters().into_iter().map(|(name, parameter)| format!("{name} {:?}\n", parameter.size()));
    let lines: std::collections::BTreeSet<String> = lines.collect();
    let step = |digest: u64, byte: &u8| (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
    format!("{:016x}", lines.iter().flat_map(|line| line.as_bytes()).fold(0xCBF2_9CE4_8422_2325, step))
}

pub fn rms(tensor: &Tensor) -> f64 {
    tensor.square().mean(Kind::Double).double_value(&[]).sqrt()
}

fn map(name: &str, shape: &[i64]) -> StreamSpec {
    stream(name, shape, Schedule::vp_linear(), Parameterization::Eps)
}

/// A network that takes a prompt of this many features.
fn made(unet: &Unet, streams: &[StreamSpec], prompt: i64, precision: Precision) -> Box<dyn Denoiser> {
    let options = BuildOptions { prompt: Some(prompt), ..on_cpu(precision, 5) };
    let network = build(&network(unet), streams, &options).unwrap();
    set_parameters(network.as_ref());
    network
}

fn network(unet: &Unet) -> Network {
    Network::Part(unet.clone().into())
}

fn small() -> Unet {
    Unet {
        block_out_channels: vec![8, 16],
        layers_per_block: 1,
        attention: vec![false, true],
        num_attention_heads: vec![2],
        norm_num_groups: 4,
        ..Unet::default()
    }
}

fn pair() -> Vec<StreamSpec> {
    vec![map("left", &[2, 6, 5]), map("right", &[1, 6, 5])]
}

fn tokens(rows: i64, count: i64) -> Tensor {
    normal(rows, &[count, 6])
}

pub fn mask(rows: &[&[bool]]) -> Option<Tensor> {
    Some(Tensor::from_slice(&rows.concat()).view([rows.len() as i64, -1]))
}

/// Rows of both streams; the second is absent in the last row.
fn input(rows: usize) -> DenoiserInput {
    let run = |row: usize| TimeRun {
        t: vec![0.1 + 0.2 * row as f32, 0.9 - 0.1 * row as f32],
        present: vec![1.0, if row + 1 == rows { 0.0 } else { 1.0 }],
        rows: 1,
    };
    let x = vec![normal(rows as i64, &[2, 6, 5]), normal(rows as i64, &[1, 6, 5])];
    DenoiserInput::sampling(x, (0..rows).map(run).collect())
}

fn prompted(rows: usize, values: Tensor, mask: Option<Tensor>) -> DenoiserInput {
    input(rows).with_prompt(Tokens { values, mask })
}

pub fn flat(outputs: &[Tensor]) -> Tensor {
    Tensor::cat(&outputs.iter().map(|output| output.flatten(1, -1)).collect::<Vec<_>>(), 1).detach()
}

#[test]
fn it_equals_diffusers_with_the_same_weights() {
    let golden: Value = serde_json::from_str(include_str!("../goldens/unet.json")).unwrap();
    assert_eq!(golden.as_array().unwrap().len(), 4);
    for case in golden.as_array().unwrap().iter().filter(|case| case["vectors"].is_null()) {
        let shape: Vec<i64> = serde_json::from_value(case["shape"].clone()).unwrap();
        let mut config = case["network"].as_object().unwrap().clone();
        let prompt = config.remove("cross_attention_dim").unwrap().as_i64().unwrap();
        let config: Part = serde_json::from_value(config.into()).unwrap();
        let Part::Unet(config) = config else { panic!("{config:?}") };
        let output: Vec<f64> = serde_json::from_value(case["output"].clone()).unwrap();
        let expected = Tensor::from_slice(&output).view([&[2], shape.as_slice()].concat().as_slice());
        assert!(rms(&expected) > 0.1);
        let mask: Option<Vec<Vec<bool>>> = serde_json::from_value(case["mask"].clone()).unwrap();
        let run = |step: &Value| TimeRun {
            t: vec![((step.as_f64().unwrap() + 1.0) / 1000.0) as f32],
            present: vec![1.0],
            rows: 1,
        };
        let times: Vec<TimeRun> = case["steps"].as_array().unwrap().iter().map(run).collect();
        let count = case["tokens"].as_i64().unwrap();
        let sampling = || {
            let x = fill("x", &[&[2], shape.as_slice()].concat(), 1.3, 0.0);
            let values = fill("prompt", &[2, count, prompt], 1.3, 0.0);
            let mask = mask.as_ref().map(|mask| Tensor::from_slice(&mask.concat()).view([2, -1]));
            DenoiserInput::sampling(vec![x], times.clone()).with_prompt(Tokens { values, mask })
        };
        let training = || {
            let DenoiserInput { x, prompt, .. } = sampling();
            let t = sampling().t().unwrap();
            let present = sampling().present().unwrap();
            DenoiserInput::new(x, t, present).with_prompt(prompt.unwrap())
        };
        for (precision, tolerance) in [(Precision::F32, F32), (Precision::Bf16, BF16)] {
            let mut network = made(&config, &[map("x", &shape)], prompt, precision);
            assert_eq!(digest(network.as_ref()), case["parameters"], "names or shapes of the weights differ");
            let check = |network: &dyn Denoiser, what: &str| {
                for input in [sampling(), training()] {
                    let found = network.predict(&input).unwrap().remove(0).detach();
                    assert_eq!(found.kind(), Kind::Float);
                    let off = rms(&(found.to_kind(Kind::Double) - &expected)) / rms(&expected);
                    assert!(off < tolerance, "{precision:?} {what}: {off}");
                    assert!(precision == Precision::F32 || off > F32, "bf16 was not used");
                }
            };
            check(network.as_ref(), "trained");
            network.freeze().unwrap();
            check(network.as_ref(), "frozen");
            let _inference = tch::no_grad_guard();
            check(network.as_ref(), "frozen, without gradients");
        }
    }
}

/// The streams and inputs of the golden with a prompt, two planes, a vector and numbers.
fn beside(case: &Value) -> (Vec<StreamSpec>, Vec<Tensor>) {
    let shape: Vec<i64> = serde_json::from_value(case["shape"].clone()).unwrap();
    let [plain, numbers, waves]: [i64; 3] = serde_json::from_value(case["vectors"].clone()).unwrap();
    let tokens = [case["tokens"].as_i64().unwrap(), case["network"]["cross_attention_dim"].as_i64().unwrap()];
    let prompt = |name: &str, shape: &[i64], of| StreamSpec { kind: StreamKind::Prompt(of), ..map(name, shape) };
    let channels = case["planes"].as_i64().unwrap();
    let plane = |name: &str, channels: i64| prompt(name, &[&[channels], &shape[1..]].concat(), PromptUse::Plane);
    let joined = |waves| PromptUse::Vector { waves };
    let streams = vec![
        map("x", &shape),
        prompt("words", &tokens, PromptUse::Tokens),
        plane("hole", 1),
        plane("visible", channels - 1),
        prompt("pooled", &[plain], joined(None)),
        prompt("sizes", &[numbers], joined(Some(waves))),
    ];
    let planes = fill("planes", &[&[2, channels], &shape[1..]].concat(), 1.3, 0.0);
    let x = vec![
        fill("x", &[&[2], shape.as_slice()].concat(), 1.3, 0.0),
        fill("prompt", &[2, tokens[0], tokens[1]], 1.3, 0.0),
        planes.narrow(1, 0, 1),
        planes.narrow(1, 1, channels - 1),
        fill("vector", &[2, plain], 1.3, 0.0),
        fill("numbers", &[2, numbers], 500.0, 500.0),
    ];
    (streams, x)
}

#[test]
fn vectors_and_planes_equal_diffusers_with_the_same_weights() {
    let golden: Value = serde_json::from_str(include_str!("../goldens/unet.json")).unwrap();
    let case = golden.as_array().unwrap().iter().find(|case| !case["vectors"].is_null()).unwrap();
    let mut config = case["network"].as_object().unwrap().clone();
    config.remove("cross_attention_dim");
    let network: Network = serde_json::from_value(config.into()).unwrap();
    let (streams, x) = beside(case);
    let output: Vec<f64> = serde_json::from_value(case["output"].clone()).unwrap();
    let expected = Tensor::from_slice(&output).view(x[0].size().as_slice());
    let time = |step: &Value| ((step.as_f64().unwrap() + 1.0) / 1000.0) as f32;
    let run = |step: &Value, present: f32| TimeRun {
        t: vec![time(step), 0.0, 0.0, 0.0, 0.0, 0.0],
        present: vec![1.0, 1.0, 1.0, 1.0, 1.0, present],
        rows: 1,
    };
    let steps = case["steps"].as_array().unwrap();
    let input = |present| {
        let x = x.iter().map(Tensor::shallow_clone).collect();
        DenoiserInput::sampling(x, steps.iter().map(|step| run(step, present)).collect())
    };
    for (precision, tolerance) in [(Precision::F32, F32), (Precision::Bf16, BF16)] {
        let mut network = build(&network, &streams, &on_cpu(precision, 5)).unwrap();
        set_parameters(network.as_ref());
        assert_eq!(digest(network.as_ref()), case["parameters"], "names or shapes of the weights differ");
        let predicted = |network: &dyn Denoiser, present: f32| {
            network.predict(&input(present)).unwrap().remove(0).detach().to_kind(Kind::Double)
        };
        let off = |network: &dyn Denoiser| rms(&(predicted(network, 1.0) - &expected)) / rms(&expected);
        assert!(off(network.as_ref()) < tolerance, "{precision:?}: {}", off(network.as_ref()));
        network.freeze().unwrap();
        assert!(off(network.as_ref()) < tolerance, "{precision:?} frozen: {}", off(network.as_ref()));
        assert!(rms(&(predicted(network.as_ref(), 0.0) - &expected)) > 1e-2, "absent numbers are zeros");
        let _ = network.set_absent_prompt("sizes", &x[5].get(0));
        let absent = predicted(network.as_ref(), 0.0) - &expected;
        assert!(rms(&absent.get(0)) / rms(&expected) < tolerance, "{precision:?}: the first row has its own numbers");
    }
}

#[test]
fn vectors_and_planes_that_do_not_fit_are_rejected() {
    let golden: Value = serde_json::from_str(include_str!("../goldens/unet.json")).unwrap();
    let case = golden.as_array().unwrap().iter().find(|case| !case["vectors"].is_null()).unwrap();
    let (streams, _) = beside(case);
    let of = |network: Value, streams: &[StreamSpec]| {
        let network: Network = serde_json::from_value(network).unwrap();
        build(&network, streams, &on_cpu(Precision::F32, 5)).map(|_| ()).map_err(|error| error.to_string())
    };
    let unet = || json!({"kind": "unet", "block_out_channels": [8, 16], "norm_num_groups": 4});
    assert!(of(unet(), &streams).is_ok());
    let mut odd = streams.clone();
    odd[2].shape = vec![1, 4, 8];
    let error = of(unet(), &odd).unwrap_err();
    assert!(error.contains("plane \"hole\" [1, 4, 8]"), "{error}");
    odd[2].shape = vec![64];
    assert!(of(unet(), &odd).unwrap_err().contains("planes"));
    odd[2] = streams[2].clone();
    odd[5].shape = vec![1, 6];
    assert!(of(unet(), &odd).unwrap_err().contains("vectors"));
    let other = || json!({"kind": "transformer", "width": 16, "blocks": 1, "num_attention_heads": 2});
    assert!(of(other(), &streams[..2]).is_ok());
    assert!(of(other(), &[&streams[..2], &streams[5..]].concat()).unwrap_err().contains("vectors"));
    assert!(of(other(), &streams[..3]).unwrap_err().contains("planes"));
}

#[test]
fn absent_and_masked_values_have_no_influence() {
    let network = made(&small(), &pair(), 6, Precision::F32);
    let rows: &[&[bool]] = &[&[true, false, true], &[true, true, true], &[false, false, false]];
    let values = tokens(3, 3);
    let expected = flat(&network.predict(&prompted(3, values.copy(), mask(rows))).unwrap());
    let other = values.copy();
    let _ = other.narrow(0, 0, 1).narrow(1, 1, 1).fill_(7.0);
    let _ = other.narrow(0, 2, 1).fill_(-7.0);
    let changed = prompted(3, other, mask(rows));
    let _ = changed.x[1].narrow(0, 2, 1).fill_(f64::NAN);
    let found = flat(&network.predict(&changed).unwrap());
    assert_eq!(bits(&found), bits(&expected));
    // A row without tokens is a row without a prompt.
    let without = flat(&network.predict(&input(3)).unwrap());
    assert!(worst(&expected.narrow(0, 2, 1), &without.narrow(0, 2, 1)) < ROWS);
    assert!(worst(&expected.narrow(0, 1, 1), &without.narrow(0, 1, 1)) > 1e-3);
    // Present values matter.
    let _ = changed.x[1].narrow(0, 1, 1).fill_(1.0);
    let found = flat(&network.predict(&changed).unwrap());
    assert!(worst(&found.narrow(0, 1, 1), &expected.narrow(0, 1, 1)) > 1e-3);
}

#[test]
fn a_row_is_the_same_in_any_batch() {
    for freeze in [false, true] {
        let mut network = made(&small(), &pair(), 6, Precision::F32);
        if freeze {
            network.freeze().unwrap();
        }
        let _no_grad = tch::no_grad_guard();
        let all = prompted(4, tokens(4, 3), None);
        let expected = flat(&network.predict(&all).unwrap());
        for row in 0..4 {
            let found = flat(&network.predict(&all.narrow(row, 1).unwrap()).unwrap());
            assert!(worst(&found, &expected.narrow(0, row, 1)) < ROWS);
        }
    }
}

#[test]
fn a_frozen_network_distinguishes_prompts() {
    let plain = made(&small(), &pair(), 6, Precision::F32);
    let mut frozen = made(&small(), &pair(), 6, Precision::F32);
    frozen.freeze().unwrap();
    let _no_grad = tch::no_grad_guard();
    for turn in 0..6 {
        // Of the same size, so that freed memory would be used again.
        let batch = prompted(2, tokens(2, 3) + f64::from(turn / 2), None);
        let expected = flat(&plain.predict(&batch).unwrap());
        for _ in 0..2 {
            assert!(worst(&flat(&frozen.predict(&batch).unwrap()), &expected) < ROWS);
        }
    }
}

#[test]
fn gradients_reach_every_parameter_and_the_tokens() {
    for precision in [Precision::F32, Precision::Bf16] {
        let network = made(&small(), &pair(), 6, precision);
        let values = tokens(3, 3).set_requires_grad(true);
        let rows: &[&[bool]] = &[&[true, true, true], &[true, true, false], &[false, false, false]];
        let batch = prompted(3, values.shallow_clone(), mask(rows));
        let outputs = network.predict(&batch).unwrap();
        let loss = outputs.iter().map(|output| output.square().sum(Kind::Float)).reduce(|a, b| a + b).unwrap();
        loss.backward();
        let read = ("the prompt".to_string(), values);
        for (name, parameter) in network.parameters().into_iter().chain([read]) {
            assert!(parameter.kind() == Kind::Float && parameter.is_leaf(), "{name}");
            let gradient = parameter.grad();
            assert!(gradient.defined() && gradient.kind() == Kind::Float, "{name}");
            let largest = gradient.abs().max().double_value(&[]);
            assert!(largest > 0.0 && largest.is_finite(), "{name}: {largest}");
        }
    }
}

#[test]
fn features_are_those_behind_the_prediction() {
    let network = made(&small(), &pair(), 6, Precision::F32);
    let sites = network.sites();
    let names: Vec<String> = sites.iter().map(|spec| spec.site.to_string()).collect();
    assert_eq!(names, ["down.0", "down.1", "middle", "up.0", "last"]);
    let batch = prompted(3, tokens(3, 2), None);
    let wanted: Vec<Site> = sites.iter().rev().map(|spec| spec.site).collect();
    let (outputs, features) = network.predict_with(&batch, &wanted).unwrap();
    assert_eq!(bits(&flat(&outputs)), bits(&flat(&network.predict(&batch).unwrap())));
    for (spec, features) in sites.iter().rev().zip(&features) {
        assert_eq!(features.size(), [&[3], spec.shape.as_slice()].concat(), "{}", spec.site);
    }
    // The output layers over `last` give the output.
    let of = |name: &str| network.parameters().into_iter().find(|(other, _)| other == name).unwrap().1;
    let normal =
        features[0].group_norm(4, Some(of("conv_norm_out.weight")), Some(of("conv_norm_out.bias")), 1e-5, true);
    let last = normal.silu().conv2d(&of("conv_out.weight"), Some(of("conv_out.bias")), [1, 1], [1, 1], [1, 1], 1);
    assert!(worst(&last.flatten(1, -1), &flat(&outputs)) < ROWS);
    let gradient = Tensor::run_backward(&[features[4].sum(Kind::Float)], &[of("conv_in.weight")], false, false);
    assert!(gradient[0].abs().max().double_value(&[]) > 0.0, "a loss on features trains what is before them");
    let unknown = network.predict_with(&batch, &[Site::Block(0)]).unwrap_err().to_string();
    assert!(unknown.contains("block.0") && unknown.contains("middle"), "{unknown}");
}

#[test]
fn invalid_streams_sizes_and_prompts_are_rejected() {
    let built = |config: Unet, streams: &[StreamSpec]| {
        build(&network(&config), streams, &on_cpu(Precision::F32, 0)).map(|_| ()).map_err(|e| e.to_string())
    };
    assert!(built(small(), &pair()).is_ok());
    assert!(built(small(), &[map("flat", &[12])]).unwrap_err().contains("\"flat\" [12]"));
    assert!(built(small(), &[map("a", &[1, 4, 4]), map("b", &[1, 4, 5])]).is_err());
    let refused = |change: fn(&mut Unet), field: &str| {
        let mut config = small();
        change(&mut config);
        let error = built(config, &pair()).unwrap_err();
        assert!(error.contains(field), "{error}");
    };
    refused(|config| config.norm_num_groups = 3, "norm_num_groups");
    refused(|config| config.num_attention_heads = vec![3], "num_attention_heads");
    refused(|config| config.attention = vec![true; 3], "attention");
    refused(|config| config.block_out_channels = Vec::new(), "block_out_channels");
    refused(|config| config.layers_per_block = 0, "layers_per_block");
    let nothing = BuildOptions { prompt: Some(0), ..on_cpu(Precision::F32, 0) };
    let error = build(&network(&small()), &pair(), &nothing).map(|_| ()).unwrap_err();
    assert!(matches!(error, EngineError::Config { field: "prompts", .. }), "{error}");
    let built = made(&small(), &pair(), 6, Precision::F32);
    let wide = prompted(2, normal(2, &[3, 7]), None);
    assert!(matches!(built.predict(&wide), Err(EngineError::Shape { .. })));
    let long = prompted(2, tokens(2, 3), mask(&[&[true], &[true]]));
    assert!(matches!(built.predict(&long), Err(EngineError::Shape { .. })));
    let deaf = build(&network(&small()), &pair(), &on_cpu(Precision::F32, 5)).unwrap();
    assert!(deaf.predict(&prompted(2, tokens(2, 3), None)).is_err() && deaf.predict(&input(2)).is_ok());
}
