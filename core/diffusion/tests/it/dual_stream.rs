//! A stream that reads the features of another's network: one way, at several scales, once for all steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyflow_config::Decay;
use anyflow_config::network::FeatureReading;
use anyflow_config::optimizer::Adamw;
use anyflow_config::times::Alternating;
use anyflow_diffusion::{
    BuildOptions, ContrastiveLoss, Denoiser, DenoiserInput, DrawKey, Draws, LossOptions, Network, Observed, Optimizer,
    Parameterization, Per, Precision, Request, Result, Schedule, Site, SiteSpec, State, StreamKind, StreamSpec,
    TimeDistribution, build, denoising_loss, network::DualStream,
};
use indexmap::IndexMap;
use serde_json::json;
use tch::{Device, Kind, Tensor};

use crate::fakes::{bits, ddim, engine, normal, on_cpu};

const SITES: [&str; 3] = ["down.0", "middle", "last"];

fn streams() -> Vec<StreamSpec> {
    streams_with(Parameterization::Eps)
}

/// `of_query` is the parameterization of the query.
fn streams_with(of_query: Parameterization) -> Vec<StreamSpec> {
    let stream = |name: &str, shape: &[i64], parameterization| StreamSpec {
        name: name.to_string(),
        shape: shape.to_vec(),
        schedule: Schedule::cosine(),
        parameterization,
        kind: StreamKind::Diffused,
    };
    vec![stream("map", &[1, 4, 4], Parameterization::V), stream("query", &[4], of_query)]
}

fn trunk() -> Network {
    serde_json::from_value(json!({
        "kind": "unet", "block_out_channels": [8, 8], "layers_per_block": 1, "norm_num_groups": 4,
        "num_attention_heads": [2], "attention": [false]
    }))
    .unwrap()
}

fn light() -> serde_json::Value {
    json!({"kind": "residual-mlp", "width": 16, "blocks": 2})
}

fn network(sites: &[&str]) -> Box<dyn Denoiser> {
    network_over(&streams(), sites)
}

fn network_over(streams: &[StreamSpec], sites: &[&str]) -> Box<dyn Denoiser> {
    let config = json!({
        "kind": "dual-stream",
        "parts": {"map": serde_json::to_value(trunk()).unwrap(), "query": light()},
        "reads": {"query": {"stream": "map", "sites": sites, "features": 8}}
    });
    build(&serde_json::from_value(config).unwrap(), streams, &on_cpu(Precision::F32, 3)).unwrap()
}

/// Changes the layers that start at zero, keyed by name, so that parts with equal names stay equal.
fn stirred(denoiser: Box<dyn Denoiser>) -> Box<dyn Denoiser> {
    for (name, parameter) in denoiser.parameters() {
        let name = name.strip_prefix("parts.map.").unwrap_or(&name).to_string();
        let key = name.bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
        let ramp =
            Tensor::arange(parameter.numel() as i64, (Kind::Float, Device::Cpu)).view(parameter.size().as_slice());
        let _ = tch::no_grad(|| parameter.shallow_clone().g_add_(&((ramp + f64::from(key % 1000)).sin() * 0.2)));
    }
    denoiser
}

/// Per stream, the state of every row, noisy ones at time 0.4.
fn input(of_map: &[State], of_query: &[State]) -> DenoiserInput {
    let told = |of: fn(&State) -> f32| {
        let numbers: Vec<f32> = of_map.iter().zip(of_query).flat_map(|(map, query)| [of(map), of(query)]).collect();
        Tensor::from_slice(&numbers).view([-1, 2])
    };
    let t = told(|state| state.time(0.4) as f32);
    let present = told(|state| if state.is_present() { 1.0 } else { 0.0 });
    let rows = of_map.len() as i64;
    DenoiserInput::new(vec![normal(rows, &[1, 4, 4]), normal(rows, &[4]) * 0.7], t, present)
}

fn off(one: &Tensor, other: &Tensor) -> f64 {
    (one - other).abs().max().double_value(&[])
}

use State::{Absent, Clean, Noisy};

#[test]
fn readers_do_not_change_a_bit_of_the_trunk() {
    let dual = stirred(network(&SITES));
    let alone = stirred(build(&trunk(), &streams()[..1], &on_cpu(Precision::F32, 3)).unwrap());
    let rows = [Noisy; 3];
    let DenoiserInput { x, .. } = input(&rows, &rows);
    let times = |value: f64| Tensor::full([3, 1], value, (Kind::Float, Device::Cpu));
    let single = DenoiserInput::new(vec![x[0].shallow_clone()], times(0.4f32.into()), times(1.0));
    let wanted = bits(&alone.predict(&single).unwrap()[0]);
    for query in [Absent, Noisy] {
        assert_eq!(bits(&dual.predict(&input(&rows, &[query; 3])).unwrap()[0]), wanted, "query {query:?}");
    }
}

#[test]
fn the_reader_sees_every_site_of_its_own_row() {
    let one = |sites: &[&str], map: &dyn Fn(&Tensor) -> Tensor| {
        let mut input = input(&[Clean; 3], &[Noisy; 3]);
        input.x[0] = map(&input.x[0]);
        stirred(network(sites)).predict(&input).unwrap().remove(1)
    };
    let plain = one(&SITES, &Tensor::shallow_clone);
    assert!(off(&plain, &one(&SITES[..2], &Tensor::shallow_clone)) > 1e-4, "another site, another answer");
    let changed = one(&SITES, &|map| map + Tensor::from_slice(&[0.0f32, 0.0, 1.0]).view([3, 1, 1, 1]));
    assert!(off(&changed.narrow(0, 0, 2), &plain.narrow(0, 0, 2)) < 1e-6, "f32");
    assert!(off(&changed.get(2), &plain.get(2)) > 1e-4);
    let swapped = one(&["last", "middle", "down.0"], &Tensor::shallow_clone);
    assert!(off(&swapped, &plain) < 1e-5, "the order of sites does not count, f32");
    let fresh = network(&SITES);
    let here = input(&[Clean; 3], &[Noisy; 3]);
    let elsewhere = input(&[Absent; 3], &[Noisy; 3]);
    let start = |input: &DenoiserInput| fresh.predict(input).unwrap().remove(1);
    assert_eq!(bits(&start(&here)), bits(&start(&elsewhere)), "what reads starts without effect");
}

#[test]
fn rows_in_all_states_share_a_batch() {
    let dual = stirred(network(&SITES));
    let map = [Noisy, Clean, Absent, Noisy];
    let query = [Absent, Noisy, Noisy, Noisy];
    let mut mixed = input(&map, &query);
    // The values of an absent stream are ignored.
    mixed.x[0] = mixed.x[0].index_fill(0, &Tensor::from_slice(&[2i64]), f64::NAN);
    let found = dual.predict(&mixed).unwrap();
    for row in 0..4 {
        let single = dual.predict(&input(&[map[row]; 4], &[query[row]; 4])).unwrap();
        for index in 0..2 {
            let at = |outputs: &[Tensor]| outputs[index].get(row as i64);
            assert!(off(&at(&found), &at(&single)) < 1e-5, "row {row}, stream {index}, f32");
        }
    }
    assert_eq!(found[1].get(0).abs().max().double_value(&[]), 0.0, "nothing is said of a stream that is not there");
}

/// Counts the calls of a network.
struct Counted(Box<dyn Denoiser>, Arc<AtomicUsize>);

impl Denoiser for Counted {
    fn streams(&self) -> &[StreamSpec] {
        self.0.streams()
    }

    fn predict(&self, batch: &DenoiserInput) -> Result<Vec<Tensor>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.predict(batch)
    }

    fn sites(&self) -> Vec<SiteSpec> {
        self.0.sites()
    }

    fn predict_with(&self, batch: &DenoiserInput, sites: &[Site]) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.predict_with(batch, sites)
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        self.0.parameters()
    }

    fn freeze(&mut self) -> Result<()> {
        self.0.freeze()
    }
}

#[test]
fn steps_and_draws_cost_the_trunk_one_call() {
    const STEPS: usize = 5;
    let calls = Arc::new(AtomicUsize::new(0));
    let light_calls = Arc::new(AtomicUsize::new(0));
    let specs = streams();
    let reader = serde_json::from_value(light()).unwrap();
    let part = |network: &Network, index: usize, context| {
        let options = BuildOptions { context, ..on_cpu(Precision::F32, 3 + index as u64) };
        build(network, &specs[index..=index], &options).unwrap()
    };
    let parts: Vec<Box<dyn Denoiser>> = vec![
        Box::new(Counted(part(&trunk(), 0, None), calls.clone())),
        Box::new(Counted(part(&reader, 1, Some(8)), light_calls.clone())),
    ];
    let sites = SITES.map(str::to_string).to_vec();
    let reading = FeatureReading { stream: "map".to_string(), sites, features: 8 };
    let reads = IndexMap::from([("query".to_string(), reading)]);
    let dual = DualStream::of_parts(&specs, parts, &reads, &on_cpu(Precision::F32, 3)).unwrap();
    let dual = stirred(Box::new(dual));
    let engine = engine(vec![("d", dual)], 16);
    let ask = |map: &Tensor, seed: u64| {
        let request = Request {
            denoiser: "d".to_string(),
            rows: (0..6).collect(),
            states: [("map".to_string(), Observed::Clean(map.shallow_clone())), ("query".to_string(), Observed::Noisy)]
                .into(),
            sampler: ddim(STEPS),
            guidance: Vec::new(),
            seed,
            outputs: vec!["query".to_string()],
        };
        let sampled = engine.handle().submit(request).unwrap().wait().unwrap();
        sampled.streams["query"].shallow_clone()
    };
    let map = normal(6, &[1, 4, 4]);
    let other = normal(6, &[1, 4, 4]) * -0.5;
    let first = ask(&map, 1);
    let second = ask(&map, 2);
    assert_eq!(calls.load(Ordering::Relaxed), 1, "two draws of {STEPS} steps");
    assert_eq!(light_calls.load(Ordering::Relaxed), 2 * STEPS);
    assert_ne!(bits(&first), bits(&second));
    let of_other = ask(&other, 1);
    assert_eq!(calls.load(Ordering::Relaxed), 2, "other features");
    assert_ne!(bits(&of_other), bits(&first));
    assert_eq!(bits(&ask(&map, 1)), bits(&first), "what was kept is what is computed");
}

fn patterns(of: &[[State; 2]], per: Per) -> TimeDistribution {
    let pattern = |states: &[State; 2]| {
        let names = ["map", "query"].map(str::to_string);
        names.into_iter().zip(*states).filter(|(_, state)| *state != Absent).collect()
    };
    TimeDistribution::Alternating(Alternating {
        patterns: of.iter().map(pattern).collect(),
        per,
        density: Default::default(),
    })
}

const PATTERNS: [[State; 2]; 2] = [[Noisy, Absent], [Clean, Noisy]];

#[test]
fn patterns_take_turns_by_row_or_by_step() {
    let specs = streams();
    for (step, row) in [(0, 0), (0, 1), (3, 4), (4, 5)] {
        let state = |per| patterns(&PATTERNS, per).draw(&specs, 8, 1, step).states.row(row).to_vec();
        assert_eq!(state(Per::Sample), PATTERNS[row % 2]);
        assert_eq!(state(Per::Batch), PATTERNS[step as usize % 2]);
    }
    let draw = patterns(&PATTERNS, Per::Sample).draw(&specs, 4, 1, 0);
    assert_eq!((draw.times[1], draw.times[2]), (1.0, 0.0), "absent, clean");
    assert!(draw.times[0] > 0.0 && draw.times[0] != draw.times[4], "a time per row");
    let stranger = TimeDistribution::Alternating(Alternating {
        patterns: vec![IndexMap::from([("quary".to_string(), Noisy)])],
        per: Per::Sample,
        density: Default::default(),
    });
    let latents = [normal(4, &[1, 4, 4]), normal(4, &[4])];
    let refused = |law: &TimeDistribution| {
        let key = DrawKey { seed: 1, step: 0 };
        denoising_loss(network(&SITES).as_ref(), &latents, law, &LossOptions::default(), key).unwrap_err().to_string()
    };
    assert!(refused(&stranger).contains("quary"));
    assert!(refused(&patterns(&[], Per::Sample)).contains("with a noisy stream"));
    assert!(refused(&patterns(&[[Clean, Absent]], Per::Sample)).contains("with a noisy stream"));
}

#[test]
fn the_predicted_x0_trains_the_trunk() {
    let latents = [normal(16, &[1, 4, 4]), normal(16, &[4])];
    let contrast = Some(ContrastiveLoss { weight: 0.5, temperature: 0.1, stream: Some("query".to_string()) });
    let dual = stirred(network(&SITES));
    let options = LossOptions { contrast, ..LossOptions::default() };
    let law = patterns(&PATTERNS[1..], Per::Sample);
    let output = denoising_loss(dual.as_ref(), &latents, &law, &options, DrawKey { seed: 1, step: 0 }).unwrap();
    let plain =
        denoising_loss(dual.as_ref(), &latents, &law, &LossOptions::default(), DrawKey { seed: 1, step: 0 }).unwrap();
    assert_eq!(output.per_stream[2].0, "predicted x0 of query");
    assert!(output.loss.double_value(&[]) > plain.loss.double_value(&[]), "the term is there");
    output.loss.backward();
    for prefix in ["parts.query.", "reads.query.", "parts.map."] {
        let parameters = dual.parameters().into_iter().filter(|(name, _)| name.starts_with(prefix));
        assert!(parameters.filter(|(_, tensor)| tensor.grad().defined()).count() > 0, "{prefix}");
    }
    let nobody = Some(ContrastiveLoss { weight: 0.5, temperature: 0.1, stream: Some("nobody".to_string()) });
    let options = LossOptions { contrast: nobody, ..LossOptions::default() };
    let law = patterns(&PATTERNS, Per::Sample);
    assert!(denoising_loss(network(&SITES).as_ref(), &latents, &law, &options, DrawKey { seed: 1, step: 0 }).is_err());
}

/// Four maps, one for each of four queries of norm 2, and a little noise on the maps.
fn classes(rows: i64, step: u32) -> (Vec<Tensor>, Tensor) {
    // Two consecutive rows share a class, since patterns take turns by row.
    let class = Tensor::arange(rows, (Kind::Int64, Device::Cpu)).divide_scalar_mode(2, "floor").remainder(4);
    let query = Tensor::eye(4, (Kind::Float, Device::Cpu)) * 2.0;
    let map = Tensor::from_slice(&[1.0f32, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, -1.0]).view([4, 1, 2, 1]);
    let map = map.expand([4, 1, 2, 8], false).reshape([4, 1, 4, 4]) * 2.0;
    let noise = normal(rows, &[1, 4, 4]) * (0.1 * f64::from(step % 7));
    (vec![map.index_select(0, &class) + noise, query.index_select(0, &class)], class)
}

#[test]
fn it_learns_to_classify_from_the_features_only() {
    const STEPS: u32 = 150;
    tch::set_num_threads(1);
    let dual = network_over(&streams_with(Parameterization::X0), &SITES);
    let config = Adamw { lr: 4e-3, warmup: 10, decay: Decay::Cosine, weight_decay: 0.0, max_grad_norm: 1.0 };
    let mut optimizer = Optimizer::new(config, u64::from(STEPS), 0.0, dual.parameters()).unwrap();
    let contrast = Some(ContrastiveLoss { weight: 0.5, temperature: 0.1, stream: Some("query".to_string()) });
    let options = LossOptions { contrast, ..LossOptions::default() };
    for step in 0..STEPS {
        let (latents, _) = classes(64, step);
        let law = patterns(&PATTERNS, Per::Sample);
        let loss = denoising_loss(dual.as_ref(), &latents, &law, &options, DrawKey { seed: 5, step }).unwrap().loss;
        loss.backward();
        let rate = optimizer.learning_rate(u64::from(step));
        let _ = optimizer.step(&loss, u64::from(step), rate).unwrap();
    }
    let engine = engine(vec![("d", dual)], 64);
    let accuracy = |map: Tensor, class: &Tensor| {
        let request = Request {
            denoiser: "d".to_string(),
            rows: (0..64).collect(),
            states: [("map".to_string(), Observed::Clean(map)), ("query".to_string(), Observed::Noisy)].into(),
            sampler: ddim(4),
            guidance: Vec::new(),
            seed: 1,
            outputs: vec!["query".to_string()],
        };
        let query = engine.handle().submit(request).unwrap().wait().unwrap().streams["query"].shallow_clone();
        query.argmax(-1, false).eq_tensor(class).mean(Kind::Float).double_value(&[])
    };
    let (latents, class) = classes(64, 3);
    let right = accuracy(latents[0].shallow_clone(), &class);
    assert!(right > 0.9, "{right}");
    // Each row gets the map of another row, of its own class in one case of four.
    let order = Tensor::arange(64, (Kind::Int64, Device::Cpu)) * 3;
    let shuffled = accuracy(latents[0].index_select(0, &order.remainder(64)), &class);
    assert!((0.2..0.3).contains(&shuffled), "{shuffled}");
}
