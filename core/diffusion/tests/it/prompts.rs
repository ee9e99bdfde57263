//! Prompts: mixed by weights, absent without a trace, guided towards, learned from.

use anyflow_config::network as config;
use anyflow_config::sampler::Ddim;
use anyflow_diffusion::{
    Branch, BuildOptions, Denoiser, DenoiserInput, DrawKey, EngineError, LossOptions, MlpLayers, Modulation, Network,
    Observed, Parameterization, Precision, PromptUse, Prompted, Prompting, Request, ResidualMlp, Sampling, Schedule,
    StreamKind, StreamSpec, TimeDistribution, TimeRun, build, denoising_loss,
};
use tch::{Device, Kind, Tensor};

use crate::fakes::{self, bits, engine, normal, on_cpu};

const TOKENS: [i64; 2] = [3, 5];

fn stream(name: &str, shape: &[i64]) -> StreamSpec {
    fakes::stream(name, shape, Schedule::cosine(), Parameterization::X0)
}

/// The stream x, then prompts.
fn prompted(names: &[&str], tokens: &[i64]) -> Vec<StreamSpec> {
    let prompt = |name: &&str| StreamSpec { kind: StreamKind::Prompt(PromptUse::Tokens), ..stream(name, tokens) };
    std::iter::once(stream("x", &[4])).chain(names.iter().map(prompt)).collect()
}

fn network(modulation: Modulation, prompts: &[&str]) -> Box<dyn Denoiser> {
    reading(modulation, prompted(prompts, &TOKENS))
}

/// A network with nothing at zero, so that every input has an effect.
fn reading(modulation: Modulation, streams: Vec<StreamSpec>) -> Box<dyn Denoiser> {
    let config = config::ResidualMlp { width: 16, blocks: 2, ..config::ResidualMlp::default() };
    let layers = MlpLayers { modulation, ..MlpLayers::default() };
    let options = BuildOptions { prompt: Some(TOKENS[1]), ..on_cpu(Precision::F32, 3) };
    let built = ResidualMlp::build(&streams[..1], &config, layers, &options).unwrap();
    let built = Box::new(Prompted::new(built, streams, Device::Cpu).unwrap());
    for (index, (_, parameter)) in built.parameters().iter().enumerate() {
        let ramp =
            Tensor::arange(parameter.numel() as i64, (Kind::Float, Device::Cpu)).view(parameter.size().as_slice());
        let _ = tch::no_grad(|| parameter.shallow_clone().g_add_(&((ramp + index as f64).sin() * 0.2)));
    }
    built
}

/// The prediction of x for three rows, with these weights of the prompts, 0 for absent.
fn predicted(denoiser: &dyn Denoiser, values: &[&Tensor], weights: &[f64]) -> Tensor {
    let rows = 3;
    let columns = |first: f64, rest: &[f64]| {
        let numbers: Vec<f32> = std::iter::once(first).chain(rest.iter().copied()).map(|n| n as f32).collect();
        Tensor::from_slice(&numbers).expand([rows, numbers.len() as i64], false).contiguous()
    };
    let x = std::iter::once(normal(rows, &[4])).chain(values.iter().map(|value| value.shallow_clone())).collect();
    let t = columns(0.4, &weights.iter().map(|weight| if *weight > 0.0 { 0.0 } else { 1.0 }).collect::<Vec<_>>());
    denoiser.predict(&DenoiserInput::new(x, t, columns(1.0, weights))).unwrap().remove(0)
}

fn off(one: &Tensor, other: &Tensor) -> f64 {
    (one - other).abs().max().double_value(&[])
}

#[test]
fn prompts_are_mixed_by_their_shares() {
    for modulation in [Modulation::Shift, Modulation::ScaleShift] {
        let denoiser = network(modulation, &["a", "b"]);
        let a = normal(3, &TOKENS);
        let b = normal(3, &TOKENS) * -0.7 + 0.3;
        let of = |a_weight: f64, b_weight: f64| predicted(denoiser.as_ref(), &[&a, &b], &[a_weight, b_weight]);
        let alone = network(modulation, &["a"]);
        let only = |value: &Tensor| predicted(alone.as_ref(), &[value], &[1.0]);
        assert_eq!(bits(&of(1.0, 0.0)), bits(&only(&a)), "a weight of one alone is that prompt");
        assert!(off(&of(1.0, 3.0), &only(&(&a * 0.25 + &b * 0.75))) < 1e-6, "f32");
        assert!(off(&of(0.5, 1.5), &of(2.0, 6.0)) < 1e-6, "only shares count, f32");
        assert!(off(&of(1.0, 0.0), &of(0.0, 1.0)) > 1e-3, "the prompts show");
        assert!(off(&of(0.0, 0.0), &of(1.0, 0.0)) > 1e-3, "that there is one shows");
    }
}

/// The cache of a frozen network belongs to these very prompts and weights, of one token or several.
#[test]
fn cached_prompts_are_the_current_ones() {
    for tokens in [[1, 5], [3, 5]] {
        let made = || reading(Modulation::Shift, prompted(&["a", "b"], &tokens));
        let plain = made();
        let mut frozen = made();
        frozen.freeze().unwrap();
        let a = normal(3, &tokens);
        let b = normal(3, &tokens) * -0.7 + 0.3;
        let asked = |first: &Tensor, weights: &[[f32; 2]; 3]| {
            let run = |[one, two]: &[f32; 2]| {
                let absent = |weight: &f32| if *weight > 0.0 { 0.0 } else { 1.0 };
                TimeRun { t: vec![0.4, absent(one), absent(two)], present: vec![1.0, *one, *two], rows: 1 }
            };
            let x = vec![normal(3, &[4]), first.shallow_clone(), b.shallow_clone()];
            DenoiserInput::sampling(x, weights.iter().map(run).collect())
        };
        let shared = [[1.0, 1.0]; 3];
        let some = [[1.0, 3.0], [0.0, 0.0], [0.0, 2.0]];
        for (first, weights) in [(&a, &shared), (&a, &shared), (&a, &some), (&b, &some), (&b, &shared), (&a, &some)] {
            let wanted = plain.predict(&asked(first, weights)).unwrap().remove(0);
            let found = frozen.predict(&asked(first, weights)).unwrap().remove(0);
            assert!(off(&found, &wanted) < 1e-5, "{tokens:?}, {weights:?}, f32");
        }
    }
}

#[test]
fn an_absent_prompt_leaves_no_trace() {
    let denoiser = network(Modulation::Shift, &["a", "b"]);
    let a = normal(3, &TOKENS);
    let b = Tensor::full([3, 3, 5], f64::NAN, (Kind::Float, Device::Cpu));
    let clean = predicted(denoiser.as_ref(), &[&a, &a.zeros_like()], &[1.0, 0.0]);
    assert_eq!(bits(&predicted(denoiser.as_ref(), &[&a, &b], &[1.0, 0.0])), bits(&clean));
}

fn request(condition: Observed, guidance: Vec<Branch>) -> Request {
    Request {
        denoiser: "d".to_string(),
        rows: (0..4).collect(),
        states: [("x".to_string(), Observed::Noisy), ("a".to_string(), condition)].into(),
        sampler: Sampling::new(Ddim { eta: 0.0 }, 6),
        guidance,
        seed: 5,
        outputs: vec!["x".to_string()],
    }
}

/// Guidance 1 is the prompted model, 0 the one without prompt; rows with prompts share a batch with rows without.
#[test]
fn sampling_is_guided_between_the_prompt_and_none() {
    let mut denoiser = network(Modulation::Shift, &["a"]);
    denoiser.freeze().unwrap();
    let engine = engine(vec![("d", denoiser)], 64);
    let value = normal(4, &TOKENS);
    let given = |weight: f64| Observed::Prompt { value: value.shallow_clone(), weight, instead: None };
    let branch =
        |scale: f64| vec![Branch { dropped: vec!["a".into()], weights: [("x".to_string(), scale - 1.0)].into() }];
    let requests = vec![
        request(given(1.0), Vec::new()),
        request(Observed::Absent, Vec::new()),
        request(given(4.0), Vec::new()),
        request(given(1.0), branch(0.0)),
        request(given(1.0), branch(3.0)),
    ];
    let tickets = engine.handle().submit_all(requests).unwrap();
    let found: Vec<Tensor> =
        tickets.into_iter().map(|ticket| ticket.wait().unwrap().streams.swap_remove("x").unwrap()).collect();
    let [prompted, plain, heavier, unguided, guided] = &found[..] else { panic!("{} answers", found.len()) };
    assert!(off(prompted, plain) > 1e-3);
    assert!(off(prompted, heavier) < 1e-5, "a weight alone means nothing, f32");
    assert!(off(unguided, plain) < 1e-5, "f32");
    assert!(off(guided, prompted) > 1e-3);
    let alone = engine.handle().submit(request(given(1.0), Vec::new())).unwrap().wait().unwrap();
    assert!(off(&alone.streams["x"], prompted) < 1e-5, "in another batch, f32");
}

/// With guidance 0 only the branch counts: it is the model with another prompt, or with the one that stands for none.
#[test]
fn branches_see_what_takes_the_place_of_a_prompt() {
    let other = normal(4, &TOKENS) * 2.0;
    let nothing = normal(1, &TOKENS);
    let sampled = |absent: bool, requests: Vec<Request>| -> Vec<Tensor> {
        let mut denoiser = network(Modulation::Shift, &["a"]);
        if absent {
            denoiser.set_absent_prompt("a", &nothing.squeeze_dim(0)).unwrap();
        }
        denoiser.freeze().unwrap();
        let engine = engine(vec![("d", denoiser)], 64);
        let tickets = engine.handle().submit_all(requests).unwrap();
        tickets.into_iter().map(|ticket| ticket.wait().unwrap().streams.swap_remove("x").unwrap()).collect()
    };
    let given = |value: &Tensor, instead: Option<&Tensor>| Observed::Prompt {
        value: value.shallow_clone(),
        weight: 1.0,
        instead: instead.map(Tensor::shallow_clone),
    };
    let value = normal(4, &TOKENS);
    let unguided = || vec![Branch { dropped: vec!["a".into()], weights: [("x".to_string(), -1.0)].into() }];
    let requests = || {
        vec![
            request(given(&other, None), Vec::new()),
            request(given(&value, Some(&other)), unguided()),
            request(given(&value, None), unguided()),
            request(Observed::Absent, Vec::new()),
            request(given(&nothing.expand([4, 3, 5], false), None), Vec::new()),
        ]
    };
    for absent in [false, true] {
        let found = sampled(absent, requests());
        assert!(off(&found[1], &found[0]) < 1e-5, "another prompt takes its place, f32");
        assert!(off(&found[2], &found[3]) < 1e-5, "f32");
        assert!(off(&found[2], &found[0]) > 1e-3);
        let of_nothing = off(&found[3], &found[4]);
        assert!(if absent { of_nothing < 1e-5 } else { of_nothing > 1e-3 }, "{absent} {of_nothing}");
    }
}

#[test]
fn prompts_without_weight_and_networks_without_prompt_are_rejected() {
    let engine = engine(vec![("d", network(Modulation::Shift, &["a"]))], 8);
    let given = |weight| Observed::Prompt { value: normal(4, &TOKENS), weight, instead: None };
    for weight in [0.0, -1.0, f64::NAN] {
        let refused = engine.handle().submit(request(given(weight), Vec::new()));
        assert!(matches!(refused, Err(EngineError::Request(_))), "{weight}");
    }
    let deaf = Network::Part(config::UnetMlp { width: 16, embedding: 8, groups: 4 }.into());
    let built = build(&deaf, &prompted(&["a"], &TOKENS), &on_cpu(Precision::F32, 0));
    assert!(matches!(built, Err(EngineError::Config { field: "prompts", .. })));
}

/// The loss falls by the information of the prompt about x, and absent prompts give no gradient.
#[test]
fn training_learns_from_a_prompt() {
    let denoiser = network(Modulation::Shift, &["a", "b"]);
    let rows = 64;
    let told = normal(rows, &[4]);
    let tokens = Tensor::cat(&[&told, &told.narrow(1, 0, 1)], 1).unsqueeze(1).expand([rows, 3, 5], false).contiguous();
    let latents = [told.shallow_clone(), tokens, Tensor::full([rows, 3, 5], f64::NAN, (Kind::Float, Device::Cpu))];
    let law = TimeDistribution::SharedAll(Default::default());
    let prompting = Prompting { p_uncond: 0.0, missing: vec!["b".to_string()] };
    let options = LossOptions { prompting, ..LossOptions::default() };
    let parameters: Vec<Tensor> = denoiser.parameters().into_iter().map(|(_, tensor)| tensor).collect();
    let mut losses = Vec::new();
    for step in 0..300u32 {
        let loss = denoising_loss(denoiser.as_ref(), &latents, &law, &options, DrawKey { seed: 1, step }).unwrap().loss;
        loss.backward();
        losses.push(loss.double_value(&[]));
        tch::no_grad(|| {
            for parameter in &parameters {
                let _ = parameter.shallow_clone().g_sub_(&(parameter.grad().clamp(-1.0, 1.0) * 0.03));
                parameter.shallow_clone().zero_grad();
            }
        });
    }
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let first = mean(&losses[..20]);
    let last = mean(&losses[280..]);
    assert!(last < 0.6 * first && last.is_finite(), "{first} to {last}");
}
