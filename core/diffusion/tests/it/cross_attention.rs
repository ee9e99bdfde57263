//! Prompts and contexts, for every network that attends to them: what must not change anything, and what must.

use anyflow_config::network::{Part, ResidualMlp, Transformer, Unet};
use anyflow_diffusion::{
    BuildOptions, Denoiser, DenoiserInput, Network, Parameterization, Precision, Schedule, Site, StreamSpec, TimeRun,
    Tokens, build,
};
use tch::{Kind, Tensor};

use crate::fakes::{bits, normal, on_cpu, stream, worst};
use crate::unet::{fill, flat, mask, set_parameters};

/// The largest difference between f32 rows of order one, summed in another order.
const F32: f64 = 1e-5;
const PROMPT: i64 = 6;
const CONTEXT: i64 = 5;
const ROWS: usize = 3;

/// Every network that can attend to tokens, with streams for it.
fn kinds() -> Vec<(Network, Vec<StreamSpec>)> {
    let named = |name: &str, shape: &[i64]| stream(name, shape, Schedule::vp_linear(), Parameterization::Eps);
    let unet = Unet {
        block_out_channels: vec![8, 16],
        layers_per_block: 1,
        attention: vec![true, false],
        num_attention_heads: vec![2],
        norm_num_groups: 4,
        ..Unet::default()
    };
    let transformer = Transformer { width: 16, blocks: 3, num_attention_heads: 4, patch: 2 };
    let mlp = ResidualMlp { width: 16, blocks: 3, num_attention_heads: Some(4) };
    vec![
        (Network::Part(unet.into()), vec![named("a", &[2, 6, 4]), named("b", &[1, 6, 4])]),
        (Network::Part(transformer.into()), vec![named("a", &[2, 6, 4]), named("b", &[5])]),
        (Network::Part(mlp.into()), vec![named("a", &[7]), named("b", &[5])]),
    ]
}

/// Options with tokens to attend to.
fn reading(prompt: bool, context: bool, precision: Precision) -> BuildOptions {
    let prompt = prompt.then_some(PROMPT);
    let context = context.then_some(CONTEXT);
    BuildOptions { prompt, context, ..on_cpu(precision, 5) }
}

fn made(network: &Network, streams: &[StreamSpec], options: &BuildOptions) -> Box<dyn Denoiser> {
    let network = build(network, streams, options).unwrap();
    set_parameters(network.as_ref());
    network
}

/// Resets these layers to their initial values.
fn unread(network: &dyn Denoiser, fresh: &dyn Denoiser, layers: &[&str]) {
    let _no_grad = tch::no_grad_guard();
    let mut count = 0;
    for ((name, mut parameter), (_, value)) in network.parameters().into_iter().zip(fresh.parameters()) {
        if layers.iter().any(|layer| name.contains(layer)) {
            parameter.copy_(&value);
            count += 1;
        }
    }
    assert!(count > 0);
}

/// Rows with their own times; stream "b" is absent in the last row.
fn input(streams: &[StreamSpec]) -> DenoiserInput {
    let x = streams.iter().map(|stream| normal(ROWS as i64, &stream.shape)).collect();
    let run = |row: usize| TimeRun {
        t: vec![0.1 + 0.2 * row as f32, 0.9 - 0.1 * row as f32],
        present: vec![1.0, if row + 1 == ROWS { 0.0 } else { 1.0 }],
        rows: 1,
    };
    DenoiserInput::sampling(x, (0..ROWS).map(run).collect())
}

fn tokens(width: i64, mask: Option<Tensor>) -> Tokens {
    Tokens { values: fill("tokens", &[ROWS as i64, 2, width], 1.5, 0.0), mask }
}

fn ask(network: &dyn Denoiser, input: &DenoiserInput) -> Tensor {
    flat(&network.predict(input).unwrap())
}

#[test]
fn a_network_with_context_starts_as_one_without() {
    for (coupled, streams) in kinds() {
        for precision in [Precision::F32, Precision::Bf16] {
            let options = reading(true, true, precision);
            let plain = made(&coupled, &streams, &reading(true, false, precision));
            let mut network = made(&coupled, &streams, &options);
            let fresh = build(&coupled, &streams, &options).unwrap();
            let prompted = || input(&streams).with_prompt(tokens(PROMPT, None));
            let expected = ask(plain.as_ref(), &prompted());
            assert!(expected.abs().max().double_value(&[]) > 0.1);
            // Trained, but without context.
            let off = ask(network.as_ref(), &prompted());
            assert!(off == expected, "{coupled:?}: without context");
            let none = mask(&[&[true, true], &[false, false], &[false, true]]);
            let masked = ask(network.as_ref(), &prompted().with_context(tokens(CONTEXT, none)));
            assert!(masked.select(0, 1) == expected.select(0, 1), "{coupled:?}: a row without context");
            assert!(worst(&masked.select(0, 0), &expected.select(0, 0)) > 1e-3, "{coupled:?}: context matters");
            // At the start, with context.
            unread(network.as_ref(), fresh.as_ref(), &["context"]);
            let with = || prompted().with_context(tokens(CONTEXT, None));
            assert!(ask(network.as_ref(), &with()) == expected, "{coupled:?}: at the start");
            if precision == Precision::F32 {
                network.freeze().unwrap();
                let _no_grad = tch::no_grad_guard();
                assert!(worst(&ask(network.as_ref(), &with()), &expected) < F32, "{coupled:?}: frozen");
            }
        }
    }
}

#[test]
fn absent_and_masked_values_have_no_influence() {
    for (network, streams) in kinds() {
        let built = made(&network, &streams, &reading(true, true, Precision::F32));
        let rows = || mask(&[&[true, false], &[true, true], &[true, true]]);
        let asked = |prompt: Tokens, context: Tokens| input(&streams).with_prompt(prompt).with_context(context);
        let expected = ask(built.as_ref(), &asked(tokens(PROMPT, rows()), tokens(CONTEXT, rows())));
        let other = |width| {
            let tokens = tokens(width, rows());
            let _ = tokens.values.select(0, 0).select(0, 1).fill_(9.0);
            tokens
        };
        let changed = asked(other(PROMPT), other(CONTEXT));
        // In the other networks the values of absent streams are ignored; here they are multiplied by zero.
        let anything = if matches!(network, Network::Part(Part::ResidualMlp(_))) { 7.0 } else { f64::NAN };
        let _ = changed.x[1].select(0, 2).fill_(anything);
        assert_eq!(
            bits(&own(&streams, &ask(built.as_ref(), &changed))),
            bits(&own(&streams, &expected)),
            "{network:?}"
        );
        let _ = changed.x[1].select(0, 1).fill_(1.0);
        let found = ask(built.as_ref(), &changed);
        assert!(worst(&found.select(0, 1), &expected.select(0, 1)) > 1e-3, "{network:?}");
        let longer = asked(tokens(PROMPT, None), tokens(CONTEXT, rows()));
        assert!(worst(&ask(built.as_ref(), &longer).select(0, 0), &expected.select(0, 0)) > 1e-4, "{network:?}");
    }
}

/// The predictions of the streams that are present: in the last row the second is absent.
fn own(streams: &[StreamSpec], outputs: &Tensor) -> Tensor {
    let first = streams[0].elements();
    let others = outputs.narrow(0, 0, ROWS as i64 - 1).flatten(0, -1);
    Tensor::cat(&[others, outputs.select(0, -1).narrow(0, 0, first)], 0)
}

#[test]
fn a_row_is_the_same_in_any_batch_frozen_or_not() {
    for (network, streams) in kinds() {
        let plain = made(&network, &streams, &reading(true, true, Precision::F32));
        let mut frozen = made(&network, &streams, &reading(true, true, Precision::F32));
        frozen.freeze().unwrap();
        let _no_grad = tch::no_grad_guard();
        let all = || input(&streams).with_prompt(tokens(PROMPT, None)).with_context(tokens(CONTEXT, None));
        let expected = ask(plain.as_ref(), &all());
        for _ in 0..2 {
            assert!(worst(&ask(frozen.as_ref(), &all()), &expected) < F32, "{network:?}");
        }
        for row in 0..ROWS as i64 {
            let one = all().narrow(row, 1).unwrap();
            for network in [&plain, &frozen] {
                assert!(worst(&ask(network.as_ref(), &one), &expected.narrow(0, row, 1)) < F32);
            }
        }
    }
}

#[test]
fn gradients_reach_every_parameter_and_the_tokens() {
    for (network, streams) in kinds() {
        for precision in [Precision::F32, Precision::Bf16] {
            let built = made(&network, &streams, &reading(true, true, precision));
            let leaf = |tokens: Tokens| Tokens { values: tokens.values.set_requires_grad(true), mask: tokens.mask };
            let batch =
                input(&streams).with_prompt(leaf(tokens(PROMPT, None))).with_context(leaf(tokens(CONTEXT, None)));
            let outputs = built.predict(&batch).unwrap();
            let loss = outputs.iter().map(|output| output.square().sum(Kind::Float)).reduce(|a, b| a + b).unwrap();
            loss.backward();
            let read = [&batch.prompt, &batch.context].map(|tokens| tokens.as_ref().unwrap().values.shallow_clone());
            let read = read.map(|values| ("what is read".to_string(), values));
            for (name, parameter) in built.parameters().into_iter().chain(read) {
                let gradient = parameter.grad();
                assert!(gradient.defined() && gradient.kind() == Kind::Float, "{network:?} {name}");
                let largest = gradient.abs().max().double_value(&[]);
                assert!(largest > 0.0 && largest.is_finite(), "{network:?} {name}: {largest}");
            }
        }
    }
}

#[test]
fn sites_have_the_declared_shapes() {
    for (network, streams) in kinds() {
        let mut built = made(&network, &streams, &reading(false, false, Precision::F32));
        let sites = built.sites();
        assert_eq!(sites.last().unwrap().site, Site::Last);
        let wanted: Vec<Site> = sites.iter().map(|spec| spec.site).collect();
        let expected = ask(built.as_ref(), &input(&streams));
        for freeze in [false, true] {
            if freeze {
                built.freeze().unwrap();
            }
            let _no_grad = tch::no_grad_guard();
            let (outputs, features) = built.predict_with(&input(&streams), &wanted).unwrap();
            assert!(worst(&flat(&outputs), &expected) < F32, "{network:?}");
            for (spec, features) in sites.iter().zip(&features) {
                assert_eq!(features.size(), [&[ROWS as i64], spec.shape.as_slice()].concat(), "{}", spec.site);
            }
            // No block writes to features that were handed out.
            let last = features.len() - 1;
            for (index, (one, other)) in features.iter().zip(&features[1..]).enumerate() {
                let same = wanted[index..index + 2].contains(&Site::Middle) || index + 1 == last;
                assert!(same || one.size() != other.size() || worst(one, other) > 1e-4, "{network:?} {index}");
            }
        }
    }
}

#[test]
fn the_transformer_equals_its_reference() {
    /// In f32 against f64: the fastest wave has an angle of up to 1000 radians, known to 6e-5.
    const F32_AGAINST_F64: f64 = 1e-4;
    /// Root mean square, through some twenty layers whose products are rounded to 8 bits.
    const BF16: f64 = 5e-2;
    let golden: serde_json::Value = serde_json::from_str(include_str!("../goldens/transformer.json")).unwrap();
    let rows = |key: &str| -> Vec<Vec<f64>> { serde_json::from_value(golden[key].clone()).unwrap() };
    let config = Network::Part(Transformer { width: 8, blocks: 2, num_attention_heads: 2, patch: 2 }.into());
    let shapes: [(&str, &[i64]); 3] = [("a", &[2, 4, 6]), ("b", &[3, 5]), ("c", &[4])];
    let streams = shapes.map(|(name, shape)| stream(name, shape, Schedule::vp_linear(), Parameterization::Eps));
    let x = || streams.iter().map(|s| fill(&format!("x{}", s.name), &s.batch_shape(ROWS), 1.3, 0.0)).collect();
    let column = |key: &str| Tensor::from_slice(&rows(key).concat()).view([3, 3]).to_kind(Kind::Float);
    let prompt = || Tokens { values: fill("prompt", &[3, 3, PROMPT], 1.3, 0.0), mask: Some(column("there").gt(0.5)) };
    for (precision, tolerance) in [(Precision::F32, F32_AGAINST_F64), (Precision::Bf16, BF16)] {
        let mut network = made(&config, &streams, &reading(true, false, precision));
        for freeze in [false, true] {
            if freeze {
                network.freeze().unwrap();
            }
            let input = DenoiserInput::new(x(), column("t"), column("present")).with_prompt(prompt());
            for (index, found) in network.predict(&input).unwrap().into_iter().enumerate() {
                let expected: Vec<f64> =
                    serde_json::from_value(golden["outputs"][&streams[index].name].clone()).unwrap();
                let expected = Tensor::from_slice(&expected).view(streams[index].batch_shape(ROWS).as_slice());
                let off = crate::unet::rms(&(found.detach().to_kind(Kind::Double) - &expected));
                let off = off / crate::unet::rms(&expected);
                assert!(off < tolerance, "{precision:?} {index}: {off}");
            }
        }
    }
}
