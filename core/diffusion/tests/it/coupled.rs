//! Coupled networks: alone as if uncoupled, together through their environment tokens.

use anyflow_diffusion::{
    ContrastiveLoss, Denoiser, DenoiserInput, DrawKey, LossOptions, Network, Parameterization, Precision, Schedule,
    StreamKind, StreamSpec, TimeDistribution, TimeRun, build, denoising_loss,
};
use serde_json::json;
use tch::{Device, Kind, Tensor};

use crate::fakes::{bits, normal, on_cpu};

const ROWS: i64 = 5;

/// True if a row has a stream.
type There<'a> = &'a dyn Fn(&str, usize) -> bool;

fn streams(names: &[&str]) -> Vec<StreamSpec> {
    let shape = |name: &str| if name == "map" { vec![2, 4, 4] } else { vec![4] };
    let of = |name: &&str| StreamSpec {
        name: name.to_string(),
        shape: shape(name),
        schedule: Schedule::cosine(),
        parameterization: Parameterization::X0,
        kind: StreamKind::Diffused,
    };
    names.iter().map(of).collect()
}

/// Seeded by name, so that the order of streams does not count; `stirred` changes the layers that start at zero.
fn network(names: &[&str], stirred: bool) -> Box<dyn Denoiser> {
    let part = |name: &str| match name {
        "map" => {
            json!({"kind": "unet", "block_out_channels": [8], "layers_per_block": 1, "norm_num_groups": 4, "num_attention_heads": [2]})
        }
        _ => json!({"kind": "residual-mlp", "width": 16, "blocks": 2}),
    };
    let parts: serde_json::Map<String, serde_json::Value> =
        names.iter().map(|name| (name.to_string(), part(name))).collect();
    let config = json!({"kind": "coupled", "parts": parts, "environment": {"width": 8, "features": 6}});
    let network: Network = serde_json::from_value(config).unwrap();
    let built = build(&network, &streams(names), &on_cpu(Precision::F32, 3)).unwrap();
    for (name, parameter) in built.parameters() {
        let key = name.bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
        let ramp =
            Tensor::arange(parameter.numel() as i64, (Kind::Float, Device::Cpu)).view(parameter.size().as_slice());
        let reads = name.contains("context") && name.contains("to_out");
        let value = (ramp + f64::from(key % 1000)).sin() * 0.3;
        let value = if reads && !stirred { value * 0.0 } else { value };
        tch::no_grad(|| parameter.shallow_clone().copy_(&value));
    }
    built
}

/// Every row has the streams of `there`, at time 0.4.
fn predicted(denoiser: &dyn Denoiser, there: There<'_>) -> Vec<Tensor> {
    denoiser.predict(&input(denoiser, there)).unwrap()
}

fn input(denoiser: &dyn Denoiser, there: There<'_>) -> DenoiserInput {
    let streams = denoiser.streams();
    let presence: Vec<f32> = (0..ROWS as usize)
        .flat_map(|row| streams.iter().map(move |stream| f32::from(u8::from(there(&stream.name, row)))))
        .collect();
    let present = Tensor::from_slice(&presence).view([ROWS, streams.len() as i64]);
    let t = present.f_mul_scalar(-0.6).unwrap() + 1.0;
    let x = streams.iter().map(|stream| normal(ROWS, &stream.shape) * if stream.name == "b" { -0.8 } else { 1.0 });
    DenoiserInput::new(x.collect(), t, present)
}

fn off(one: &Tensor, other: &Tensor) -> f64 {
    (one - other).abs().max().double_value(&[])
}

#[test]
fn a_stream_alone_is_as_if_uncoupled_to_the_bit() {
    let joint = network(&["a", "b", "map"], true);
    for (index, name) in ["a", "b", "map"].into_iter().enumerate() {
        let found = predicted(joint.as_ref(), &|stream, _| stream == name);
        let single = network(&[name], false);
        let alone = predicted(single.as_ref(), &|_, _| true);
        assert_eq!(bits(&found[index]), bits(&alone[0]), "{name}");
    }
}

#[test]
fn context_layers_start_without_effect_and_then_have_one() {
    let fresh = network(&["a", "b", "map"], false);
    let stirred = network(&["a", "b", "map"], true);
    for (index, name) in ["a", "b", "map"].into_iter().enumerate() {
        let alone = |denoiser: &dyn Denoiser| predicted(denoiser, &|stream, _| stream == name).remove(index);
        let together = |denoiser: &dyn Denoiser| predicted(denoiser, &|_, _| true).remove(index);
        assert!(off(&together(fresh.as_ref()), &alone(fresh.as_ref())) == 0.0, "{name}");
        assert!(off(&together(stirred.as_ref()), &alone(stirred.as_ref())) > 1e-3, "{name}");
    }
}

#[test]
fn a_row_attends_to_the_streams_that_it_has() {
    let denoiser = network(&["a", "b", "map"], true);
    // Rows 0 and 1 have a alone, row 2 has a and b, the others all three.
    let there = |stream: &str, row: usize| match row {
        0 | 1 => stream == "a",
        2 => stream != "map",
        _ => true,
    };
    let mixed = predicted(denoiser.as_ref(), &there);
    let cases: [(i64, There<'_>); 3] =
        [(0, &|stream, _| stream == "a"), (2, &|stream, _| stream != "map"), (4, &|_, _| true)];
    for (row, of_all) in cases {
        let wanted = predicted(denoiser.as_ref(), of_all);
        assert!(off(&mixed[0].get(row), &wanted[0].get(row)) < 1e-5, "row {row}, f32");
    }
}

#[test]
fn the_order_of_streams_does_not_count() {
    let one = network(&["a", "b", "map"], true);
    let other = network(&["map", "a", "b"], true);
    let found = predicted(one.as_ref(), &|_, _| true);
    let turned = predicted(other.as_ref(), &|_, _| true);
    for (index, in_other) in [(0, 1), (1, 2), (2, 0)] {
        assert!(off(&found[index], &turned[in_other]) < 1e-5, "f32");
    }
}

#[test]
fn environment_tokens_have_length_one() {
    let denoiser = network(&["a", "b"], true);
    let shown = denoiser.environments(&input(denoiser.as_ref(), &|_, _| true)).unwrap();
    for tokens in shown.iter().flatten() {
        assert_eq!(tokens.size(), [ROWS, 1, 6]);
        let lengths = tokens.square().sum_dim_intlist([-1i64].as_slice(), false, Kind::Float);
        assert!(off(&lengths, &lengths.ones_like()) < 1e-6, "f32");
    }
    let plain = predicted(denoiser.as_ref(), &|_, _| true);
    let mut other = input(denoiser.as_ref(), &|_, _| true);
    other.x[1] = &other.x[1] * -2.0;
    assert_ne!(bits(&denoiser.predict(&other).unwrap()[0]), bits(&plain[0]), "a attends to b");
}

/// Caches of times and tokens change nothing: rows at two times, some with all streams.
#[test]
fn a_frozen_network_predicts_the_same() {
    let there = |stream: &str, row: usize| stream == "a" || row > 1;
    for names in [&["a", "b", "map"][..], &["a", "b"]] {
        let plain = network(names, true);
        let mut frozen = network(names, true);
        frozen.freeze().unwrap();
        let of = |row: usize| {
            let present: Vec<f32> = names.iter().map(|name| f32::from(u8::from(there(name, row)))).collect();
            let t = if row < 3 { 0.4 } else { 0.7 };
            TimeRun { t: present.iter().map(|present| 1.0 + present * (t - 1.0)).collect(), present, rows: 1 }
        };
        let x = || input(plain.as_ref(), &|_, _| true).x;
        // Twice, since the second call uses the cache.
        for turn in 0..2 {
            let asked = || DenoiserInput::sampling(x(), (0..ROWS as usize).map(of).collect());
            let wanted = plain.predict(&asked()).unwrap();
            let found = frozen.predict(&asked()).unwrap();
            for (index, name) in names.iter().enumerate() {
                assert!(off(&found[index], &wanted[index]) < 1e-5, "{name}, turn {turn}, f32");
            }
        }
    }
}

#[test]
fn streams_that_take_no_part_get_no_gradient() {
    let denoiser = network(&["a", "b", "map"], true);
    let latents: Vec<Tensor> = denoiser.streams().iter().map(|stream| normal(16, &stream.shape)).collect();
    let law = TimeDistribution::SharedAll(Default::default());
    let loss = |options: LossOptions| {
        denoising_loss(denoiser.as_ref(), &latents, &law, &options, DrawKey { seed: 1, step: 0 }).unwrap()
    };
    let touched = || -> Vec<String> {
        let touched = denoiser.parameters().into_iter().filter(|(_, tensor)| tensor.grad().defined());
        touched
            .map(|(name, mut tensor)| {
                tensor.zero_grad();
                let _ = tensor.grad();
                name
            })
            .collect()
    };
    let alone = loss(LossOptions { left_out: vec!["b".to_string(), "map".to_string()], ..LossOptions::default() });
    assert_eq!(alone.per_stream.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a"]);
    alone.loss.backward();
    assert!(touched().iter().all(|name| name.starts_with("parts.a.") && !name.contains("context")));

    let denoiser = network(&["a", "b", "map"], true);
    let contrast = Some(ContrastiveLoss { weight: 1.0, temperature: 0.1, stream: None });
    let options = LossOptions { left_out: vec!["map".to_string()], contrast, ..LossOptions::default() };
    let pair = denoising_loss(denoiser.as_ref(), &latents, &law, &options, DrawKey { seed: 1, step: 0 }).unwrap();
    assert_eq!(pair.per_stream.len(), 3, "two streams and what they show");
    pair.loss.backward();
    for (name, tensor) in denoiser.parameters() {
        let of_pair =
            ["parts.a.", "parts.b.", "environment.a.", "environment.b."].iter().any(|part| name.starts_with(part));
        assert_eq!(tensor.grad().defined(), of_pair, "{name}");
    }
}
