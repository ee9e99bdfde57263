//! The U-Net over streams with frames.

use anyflow_config::network::Unet;
use anyflow_diffusion::{
    BuildOptions, Denoiser, DenoiserInput, Network, Parameterization, Precision, Schedule, Site, StreamSpec, TimeRun,
    Tokens, build,
};
use tch::{Kind, Tensor};

use crate::fakes::{normal, on_cpu, stream, worst};
use crate::unet::set_parameters;

const FRAMES: i64 = 3;
const ROWS: i64 = 2;
/// The largest difference between f32 rows of order one, summed in another order.
const F32: f64 = 1e-5;

fn config(temporal: bool) -> Network {
    let unet = Unet {
        block_out_channels: vec![8, 16],
        layers_per_block: 1,
        attention: vec![false, true],
        num_attention_heads: vec![2],
        norm_num_groups: 4,
        temporal,
        ..Unet::default()
    };
    Network::Part(unet.into())
}

fn streams(frames: &[i64]) -> Vec<StreamSpec> {
    let named = |name: &str, channels| {
        let shape = [frames, &[channels, 6, 4]].concat();
        stream(name, &shape, Schedule::vp_linear(), Parameterization::Eps)
    };
    vec![named("a", 2), named("b", 1)]
}

/// Rows with frames: two streams, a time per row, a prompt per row.
fn input() -> DenoiserInput {
    let run = |row: i64| TimeRun { t: vec![0.1 + 0.4 * row as f32, 0.8], present: vec![1.0, 1.0], rows: 1 };
    let x = vec![normal(ROWS, &[FRAMES, 2, 6, 4]), normal(ROWS, &[FRAMES, 1, 6, 4])];
    let mask = Some(Tensor::from_slice(&[true, true, true, false]).view([ROWS, 2]));
    DenoiserInput::sampling(x, (0..ROWS).map(run).collect()).with_prompt(Tokens { values: normal(ROWS, &[2, 6]), mask })
}

fn built(temporal: bool, frames: &[i64]) -> Box<dyn Denoiser> {
    let options = BuildOptions { prompt: Some(6), ..on_cpu(Precision::F32, 5) };
    build(&config(temporal), &streams(frames), &options).unwrap()
}

/// Resets the layers that join frames to their initial values.
fn unjoined(network: &dyn Denoiser) {
    let fresh = built(true, &[FRAMES]);
    let _no_grad = tch::no_grad_guard();
    for ((name, mut parameter), (_, value)) in network.parameters().into_iter().zip(fresh.parameters()) {
        if name.contains("temporals") {
            parameter.copy_(&value);
        }
    }
}

#[test]
fn frames_are_independent_at_the_start() {
    let mut joined = built(true, &[FRAMES]);
    let single = built(false, &[]);
    let apart = built(false, &[FRAMES]);
    [joined.as_ref(), single.as_ref(), apart.as_ref()].into_iter().for_each(set_parameters);
    let all = input();
    let together = joined.predict(&all).unwrap();
    unjoined(joined.as_ref());
    let at_start = joined.predict(&all).unwrap();
    let by_itself = apart.predict(&all).unwrap();
    joined.freeze().unwrap();
    let frozen = joined.predict(&all).unwrap();
    for frame in 0..FRAMES {
        let DenoiserInput { x, .. } = input();
        let x = x.iter().map(|x| x.select(1, frame)).collect();
        let one = DenoiserInput::new(x, all.t().unwrap(), all.present().unwrap()).with_prompt(input().prompt.unwrap());
        for (stream, expected) in single.predict(&one).unwrap().iter().enumerate() {
            for (found, what) in [(&at_start, "at the start"), (&by_itself, "without joins"), (&frozen, "frozen")] {
                let off = worst(&found[stream].select(1, frame), expected);
                assert!(off < F32, "{what}, frame {frame}: {off}");
            }
            assert!(worst(&together[stream].select(1, frame), expected) > 1e-2, "joined frames differ");
        }
    }
    assert!(at_start.iter().zip(&by_itself).all(|(one, other)| one == other), "to the bit");
}

#[test]
fn frames_attend_to_each_other_and_to_their_order() {
    let network = built(true, &[FRAMES]);
    set_parameters(network.as_ref());
    let ask = |change: &dyn Fn(&Tensor) -> Tensor| {
        let mut input = input();
        input.x[0] = change(&input.x[0]);
        network.predict(&input).unwrap().remove(0).detach()
    };
    let plain = ask(&Tensor::shallow_clone);
    let first = ask(&|x| {
        let x = x.copy();
        let _ = x.select(1, 0).fill_(1.0);
        x
    });
    assert!(worst(&first.select(1, 2), &plain.select(1, 2)) > 1e-3, "the last frame reads the first");
    let back = ask(&|x| x.flip([1])).flip([1]);
    assert!(worst(&back, &plain) > 1e-3);
    let loss = network.predict(&input()).unwrap().iter().map(|o| o.square().sum(Kind::Float)).reduce(|a, b| a + b);
    loss.unwrap().backward();
    for (name, parameter) in network.parameters() {
        assert!(parameter.grad().defined() && parameter.grad().abs().max().double_value(&[]) > 0.0, "{name}");
    }
    let (_, features) = network.predict_with(&input(), &[Site::Middle]).unwrap();
    assert_eq!(features[0].size(), [ROWS, FRAMES, 16, 3, 2]);
}

#[test]
fn temporal_layers_need_frames() {
    let error = build(&config(true), &streams(&[]), &on_cpu(Precision::F32, 0)).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("temporal"), "{error}");
}
