//! Auxiliary streams: their process against simulated chains, plain diffusion without them, heads, sampling with
//! estimates.

use anyflow_config::auxiliary::{Conv, Mlp};
use anyflow_config::sampler::{Ddim, Ddpm};
use anyflow_config::{Aggregation, AggregationSchedule, Auxiliary, Embedding, Head, HeadLoss};
use anyflow_diffusion::{
    Denoiser, DenoiserInput, DrawKey, EmbeddingWeight, LossOptions, Network, Observed, Parameterization, Precision,
    Request, Sampling, Schedule, Solver, StreamKind, StreamSpec, TimeDistribution, build, denoising_loss,
};
use proptest::prelude::*;
use serde_json::json;
use tch::{Device, Kind, Tensor};

use crate::fakes::{self, bits, engine, normal, on_cpu};

const SHAPE: [i64; 1] = [6];
const CLASSES: i64 = 4;

fn stream(name: &str, shape: &[i64], parameterization: Parameterization) -> StreamSpec {
    fakes::stream(name, shape, Schedule::vp_linear(), parameterization)
}

fn auxiliary(name: &str, shape: &[i64], auxiliary: Auxiliary) -> StreamSpec {
    StreamSpec { kind: StreamKind::Auxiliary(auxiliary), ..stream(name, shape, Parameterization::X0) }
}

fn aggregate(weight: f64, law: AggregationSchedule, dropout: f64) -> Option<Embedding> {
    Some(Embedding { aggregation: Aggregation { weight, law, dropout }, into: "x".to_string() })
}

fn label(weight: f64, law: AggregationSchedule, dropout: f64) -> StreamSpec {
    labelled(weight, law, dropout, 1.0)
}

fn labelled(weight: f64, law: AggregationSchedule, dropout: f64, embedding_weight: f64) -> StreamSpec {
    let head = Head {
        reads: "middle".to_string(),
        network: Mlp { width: 8 }.into(),
        loss: HeadLoss::CrossEntropy,
        weight: if weight == 0.0 { 0.0 } else { 0.5 },
        embedding_weight,
    };
    auxiliary("label", &[CLASSES], Auxiliary { aggregate: aggregate(weight, law, dropout), head: Some(head) })
}

fn network(parameterization: Parameterization, auxiliaries: &[StreamSpec]) -> Box<dyn Denoiser> {
    let network: Network = serde_json::from_value(json!({"kind": "residual-mlp", "width": 16, "blocks": 2})).unwrap();
    let streams = [&[stream("x", &SHAPE, parameterization)], auxiliaries].concat();
    let built = build(&network, &streams, &on_cpu(Precision::F32, 3)).unwrap();
    for (index, (_, parameter)) in built.parameters().iter().enumerate() {
        let ramp =
            Tensor::arange(parameter.numel() as i64, (Kind::Float, Device::Cpu)).view(parameter.size().as_slice());
        let _ = tch::no_grad(|| parameter.shallow_clone().g_add_(&((ramp + index as f64).sin() * 0.2)));
    }
    built
}

/// Mean and standard deviation of a coordinate of a one-hot vector.
const MOMENTS: (f64, f64) = (0.25, 0.4330127018922193);

fn one_hot(rows: i64) -> Tensor {
    let classes = Tensor::arange(rows, (Kind::Int64, Device::Cpu)).remainder(CLASSES);
    (classes.one_hot(CLASSES).to_kind(Kind::Float) - MOMENTS.0) / MOMENTS.1
}

/// The time of the k-th state of a chain.
fn time(schedule: &Schedule, k: usize, steps: usize) -> f64 {
    schedule.t_max() * k as f64 / steps as f64
}

/// abar of a chain of so many steps, starting at 1, and alpha of its steps.
fn chain(schedule: &Schedule, steps: usize) -> (Vec<f64>, Vec<f64>) {
    let signal = |k: usize| if k == 0 { 1.0 } else { schedule.signal(time(schedule, k, steps)) };
    let abar: Vec<f64> = (0..=steps).map(|k| signal(k).powi(2)).collect();
    let alpha = abar.windows(2).map(|pair| pair[1] / pair[0]).collect();
    (abar, alpha)
}

/// gamma of the states of a chain, starting at 0, and w of its steps: w_t = gamma_t / sqrt(alpha_t) - gamma_{t-1}.
fn weights(law: AggregationSchedule, weight: f64, schedule: &Schedule, alpha: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let steps = alpha.len();
    let aggregation = Aggregation { weight, law, dropout: 0.0 };
    let gamma = |k: usize| if k == 0 { 0.0 } else { aggregation.gamma(schedule, time(schedule, k, steps)) };
    let gamma: Vec<f64> = (0..=steps).map(gamma).collect();
    let w = alpha.iter().enumerate().map(|(k, alpha)| gamma[k + 1] / alpha.sqrt() - gamma[k]).collect();
    (gamma, w)
}

/// The time at which signal and noise are equal, by bisection.
fn equal_time(schedule: &Schedule) -> f64 {
    let mut low = schedule.t_min();
    let mut high = schedule.t_max();
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if schedule.log_snr(middle) > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

fn schedules() -> impl Strategy<Value = Schedule> {
    prop_oneof![Just(Schedule::vp_linear()), Just(Schedule::cosine()), Just(Schedule::scaled_linear())]
}

fn laws() -> impl Strategy<Value = AggregationSchedule> {
    prop_oneof![Just(AggregationSchedule::Start), Just(AggregationSchedule::Bump)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Steps that add w_t E(x) lead to the marginal gamma E(x).
    #[test]
    fn gamma_and_w_describe_the_same_process(
        schedule in schedules(), law in laws(), weight in 0.0..2.0f64, steps in 2usize..60,
    ) {
        let (_, alpha) = chain(&schedule, steps);
        let (gamma, w) = weights(law, weight, &schedule, &alpha);
        let mut b = 0.0;
        for k in 0..steps {
            b = alpha[k].sqrt() * (b + w[k]);
            prop_assert!((b - gamma[k + 1]).abs() < 1e-10, "{k}: {b} {}", gamma[k + 1]);
        }
    }

    /// Each schedule adds where its name says.
    #[test]
    fn each_schedule_adds_where_its_name_says(schedule in schedules(), weight in 0.1..2.0f64) {
        let steps = 400;
        let (_, alpha) = chain(&schedule, steps);
        let (_, w) = weights(AggregationSchedule::Start, weight, &schedule, &alpha);
        prop_assert!((w[0] - weight).abs() < 1e-9 && w[1..].iter().all(|w| w.abs() < 1e-9));
        let bump = Aggregation { weight, law: AggregationSchedule::Bump, dropout: 0.0 };
        let gamma = |t| bump.gamma(&schedule, t);
        prop_assert!((gamma(equal_time(&schedule)) - weight).abs() < 1e-6, "a = s there");
        prop_assert!([0.0, 1.0].iter().all(|t| gamma(*t) < 0.15 * weight));
    }

    /// DDPM's draw of y, shifted by b, is the posterior of the chain with its additions: [sqrt(alpha)(1 - abar')(z -
    /// sqrt(alpha) c) + (1 - alpha)(a' z_0 + b')] / (1 - abar), where the prime means t - 1.
    #[test]
    fn the_posterior_is_that_of_ddpm_around_the_embeddings(
        schedule in prop_oneof![Just(Schedule::vp_linear()), Just(Schedule::cosine())],
        law in laws(), weight in 0.0..2.0f64, z0 in -2.0..2.0f64, code in -2.0..2.0f64, z in -3.0..3.0f64,
    ) {
        let steps = 20;
        let aggregation = Aggregation { weight, law, dropout: 0.0 };
        let table = Sampling::new(Ddpm {}, steps).table(&schedule);
        for step in &table.steps[..steps - 1] {
            let abar = schedule.signal(step.from.t).powi(2);
            let before = schedule.signal(step.to.t).powi(2);
            let alpha = abar / before;
            let rest = 1.0 - abar;
            let [b, b_before] = [step.from.t, step.to.t].map(|t| aggregation.gamma(&schedule, t) * code);
            let c = b / alpha.sqrt() - b_before;
            let mean = (alpha.sqrt() * (1.0 - before) * (z - alpha.sqrt() * c)
                + (1.0 - alpha) * (before.sqrt() * z0 + b_before)) / rest;
            let variance = (1.0 - alpha) * (1.0 - before) / rest;
            let found = step.next.x * (z - b) + step.next.denoised * z0 + b_before;
            prop_assert!((found - mean).abs() < 1e-8, "{found} {mean}");
            prop_assert!((step.next.noise.powi(2) - variance).abs() < 1e-10);
        }
    }
}

/// A simulated chain that adds in every step: mean and variance at the end, and the regression of the state before the
/// end on the end.
#[test]
fn a_simulated_chain_has_the_marginal_and_the_posterior() {
    const ROWS: i64 = 400_000;
    let schedule = Schedule::vp_linear();
    let steps = 8;
    let weight = 0.7;
    let z0 = 0.9;
    let code = -1.3;
    for (index, law) in [AggregationSchedule::Start, AggregationSchedule::Bump].into_iter().enumerate() {
        let steps_taken = 5;
        let (abar, alpha) = chain(&schedule, steps);
        let (gamma, w) = weights(law, weight, &schedule, &alpha);
        let mut z = Tensor::full([ROWS], z0, (Kind::Double, Device::Cpu));
        let mut before = z.shallow_clone();
        for k in 0..steps_taken {
            before = z;
            let mut values = vec![0.0f32; ROWS as usize];
            anyflow_diffusion::noise::normals(index as u64, 0, "chain", k as u32, &mut values);
            let noise = Tensor::from_slice(&values).to_kind(Kind::Double);
            z = (&before + w[k] * code) * alpha[k].sqrt() + noise * (1.0 - alpha[k]).sqrt();
        }
        let number = |tensor: Tensor| tensor.double_value(&[]);
        let mean = number(z.mean(Kind::Double));
        let wanted = abar[steps_taken].sqrt() * z0 + gamma[steps_taken] * code;
        // Four standard errors of a mean of 400,000 numbers of unit variance, and of a variance.
        assert!((mean - wanted).abs() < 0.0064, "{law:?}: {mean} {wanted}");
        let variance = number(z.var(true));
        assert!((variance - (1.0 - abar[steps_taken])).abs() < 0.009, "{law:?}: {variance}");
        let t = steps_taken;
        let rest = 1.0 - abar[steps_taken];
        let slope = alpha[t - 1].sqrt() * (1.0 - abar[t - 1]) / rest;
        let c = w[t - 1] * code;
        let at_mean = slope * (wanted - alpha[t - 1].sqrt() * c)
            + (1.0 - alpha[t - 1]) * (abar[t - 1].sqrt() * z0 + gamma[t - 1] * code) / rest;
        let centred = &z - mean;
        let found = number((&centred * &before).mean(Kind::Double)) / variance;
        assert!((found - slope).abs() < 0.006, "{law:?}: {found} {slope}");
        assert!((number(before.mean(Kind::Double)) - at_mean).abs() < 0.0064, "{law:?}");
    }
}

fn loss_of(denoiser: &dyn Denoiser, rows: i64, options: &LossOptions) -> (Tensor, Vec<(String, Tensor)>) {
    let x = normal(rows, &SHAPE);
    let latents = if denoiser.streams().len() == 1 { vec![x] } else { vec![x, one_hot(rows)] };
    let law = TimeDistribution::SharedAll(Default::default());
    let output = denoising_loss(denoiser, &latents, &law, options, DrawKey { seed: 5, step: 2 }).unwrap();
    (output.loss, output.per_stream)
}

#[test]
fn no_or_idle_auxiliary_streams_give_plain_diffusion_to_the_bit() {
    use Parameterization::{Eps, V, X0};
    for parameterization in [Eps, X0, V] {
        let plain = network(parameterization, &[]);
        let idle = network(parameterization, &[label(0.0, AggregationSchedule::Start, 0.3)]);
        let options = LossOptions::default();
        let wanted = loss_of(plain.as_ref(), 16, &options);
        let found = loss_of(idle.as_ref(), 16, &options);
        assert_eq!(bits(&wanted.0), bits(&found.0), "{parameterization:?}");
        assert_eq!(bits(&wanted.1[0].1), bits(&found.1[0].1));
        // DDPM's steps, with the auxiliary stream estimated as well, are those of the plain network.
        let sampled = |denoiser: Box<dyn Denoiser>, states: &[(&str, Observed)]| {
            let states = states.iter().map(|(name, _)| (name.to_string(), Observed::Noisy)).collect();
            let engine = engine(vec![("d", denoiser)], 8);
            let request = Request {
                denoiser: "d".to_string(),
                rows: (0..3).collect(),
                states,
                sampler: Sampling::new(Ddpm {}, 12),
                guidance: Vec::new(),
                seed: 4,
                outputs: vec!["x".to_string()],
            };
            engine.handle().submit(request).unwrap().wait().unwrap().streams.swap_remove("x").unwrap()
        };
        let x = || ("x", Observed::Noisy);
        let wanted = sampled(plain, &[x()]);
        let found = sampled(idle, &[x(), ("label", Observed::Noisy)]);
        assert_eq!(bits(&wanted), bits(&found), "{parameterization:?}");
    }
}

/// The predictions of x and of the label, with the label as in `label`, or absent.
fn predicted(denoiser: &dyn Denoiser, t: f64, label: &Tensor, present: f64) -> Vec<Tensor> {
    let rows = label.size()[0];
    let column = |first: f64, second: f64| {
        Tensor::from_slice(&[first as f32, second as f32]).expand([rows, 2], false).contiguous()
    };
    let x = vec![normal(rows, &SHAPE), label.shallow_clone()];
    denoiser.predict(&DenoiserInput::new(x, column(t, 1.0 - present), column(1.0, present))).unwrap()
}

#[test]
fn an_embedding_matters_and_an_absent_one_leaves_no_trace() {
    let denoiser = network(Parameterization::Eps, &[label(0.6, AggregationSchedule::Start, 0.3)]);
    let rows = 8;
    let off = |one: &Tensor, other: &Tensor| (one - other).abs().max().double_value(&[]);
    let truth = one_hot(rows);
    let with = predicted(denoiser.as_ref(), 0.2, &truth, 1.0);
    let without = predicted(denoiser.as_ref(), 0.2, &truth, 0.0);
    assert!(off(&with[0], &without[0]) > 1e-3 && off(&with[1], &without[1]) > 1e-3);
    let nothing = Tensor::full([rows, CLASSES], f64::NAN, (Kind::Float, Device::Cpu));
    let unknown = predicted(denoiser.as_ref(), 0.2, &nothing, 0.0);
    assert_eq!([bits(&without[0]), bits(&without[1])], [bits(&unknown[0]), bits(&unknown[1])]);
    // An unknown class has the null embedding.
    let even = truth.zeros_like();
    assert!(off(&predicted(denoiser.as_ref(), 0.2, &even, 1.0)[0], &without[0]) < 1e-5, "f32");
    let found = &with[1] * MOMENTS.1 + MOMENTS.0;
    let sums = found.sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
    assert!(off(&sums, &sums.ones_like()) < 1e-5, "a head that classifies gives probabilities");
    assert!(found.min().double_value(&[]) >= -1e-6, "f32");
}

#[test]
fn the_network_sees_the_stream_shifted_by_the_embedding() {
    let law = AggregationSchedule::Bump;
    let weight = 0.8;
    let t = 0.35;
    let aggregate = aggregate(weight, law, 0.0);
    let spec = auxiliary("c", &SHAPE, Auxiliary { aggregate: aggregate.clone(), head: None });
    let denoiser = network(Parameterization::V, &[spec]);
    let plain = network(Parameterization::V, &[]);
    let rows = 5;
    let code = normal(5, &SHAPE) * 0.5 + 0.2;
    let found = predicted(denoiser.as_ref(), t, &code, 1.0).swap_remove(0);
    let moved = normal(rows, &SHAPE) + &code * aggregate.unwrap().aggregation.gamma(&Schedule::vp_linear(), t);
    let times = Tensor::full([rows, 1], t, (Kind::Float, Device::Cpu));
    let wanted = plain.predict(&DenoiserInput::new(vec![moved], times.shallow_clone(), times.ones_like())).unwrap();
    assert!((found - &wanted[0]).abs().max().double_value(&[]) < 1e-5, "f32");
}

#[test]
fn the_loss_sums_denoising_and_heads_by_their_weights() {
    let denoiser = network(Parameterization::Eps, &[label(0.6, AggregationSchedule::Start, 0.5)]);
    let all =
        |denoise_weight: f64| loss_of(denoiser.as_ref(), 32, &LossOptions { denoise_weight, ..LossOptions::default() });
    let (loss, parts) = all(1.0);
    let number = |tensor: &Tensor| tensor.double_value(&[]);
    assert_eq!(parts.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["x", "label"]);
    // One stream whose rows are all noisy: its metric is its loss.
    assert!((number(&loss) - number(&parts[0].1) - 0.5 * number(&parts[1].1)).abs() < 1e-5, "f32");
    assert!((number(&all(0.0).0) - 0.5 * number(&parts[1].1)).abs() < 1e-6, "f32");
    loss.backward();
    let (_, head) = denoiser.parameters().into_iter().find(|(name, _)| name == "heads.label.first.weight").unwrap();
    assert!(head.grad().abs().max().double_value(&[]) > 0.0);
    // A part of a batch draws what its rows draw in the whole batch.
    let half = |first_row| {
        let latents = vec![normal(32, &SHAPE).narrow(0, first_row, 16), one_hot(32).narrow(0, first_row, 16)];
        let options = LossOptions { first_row: first_row as usize, ..LossOptions::default() };
        let law = TimeDistribution::SharedAll(Default::default());
        number(&denoising_loss(denoiser.as_ref(), &latents, &law, &options, DrawKey { seed: 5, step: 2 }).unwrap().loss)
    };
    assert!(((half(0) + half(16)) / 2.0 - number(&loss)).abs() < 1e-5, "f32");
}

#[test]
fn a_row_without_the_stream_of_a_head_has_no_loss_there() {
    let denoiser = network(Parameterization::Eps, &[label(0.6, AggregationSchedule::Start, 0.0)]);
    let figures = |lacking: Vec<u64>| {
        let options = LossOptions { lacking, denoise_weight: 0.0, ..LossOptions::default() };
        let (loss, parts) = loss_of(denoiser.as_ref(), 32, &options);
        (loss.double_value(&[]), parts[1].1.double_value(&[]))
    };
    let only = |keep: fn(u64) -> bool| (0..32).map(|row| u64::from(!keep(row)) << 1).collect::<Vec<_>>();
    let (_, whole) = figures(Vec::new());
    let (even, odd) = (figures(only(|row| row % 2 == 0)).1, figures(only(|row| row % 2 == 1)).1);
    assert!(even > 0.0 && odd > 0.0 && (even + odd - whole).abs() < 1e-5, "f32: {even} + {odd}, {whole}");
    assert_eq!(figures(only(|_| false)), (0.0, 0.0));
}

#[test]
fn rows_with_their_own_embedding_have_the_given_weight_in_the_head_loss() {
    let read = |own: f64, dropout: f64| {
        let spec = labelled(0.6, AggregationSchedule::Start, dropout, own);
        let denoiser = network(Parameterization::Eps, &[spec]);
        let (_, parts) = loss_of(denoiser.as_ref(), 64, &LossOptions::default());
        [parts[0].1.double_value(&[]), parts[1].1.double_value(&[])]
    };
    let ([x, whole], [same, half], [_, none]) = (read(1.0, 0.5), read(0.5, 0.5), read(0.0, 0.5));
    assert_eq!(x, same, "denoising is as it was");
    assert!((half - (whole + none) / 2.0).abs() < 1e-6 && whole - none > 0.1, "f32: {whole} {half} {none}");
    assert_eq!(read(0.0, 1.0), read(1.0, 1.0), "no row has the code");
    assert_eq!(read(0.0, 0.0)[1], 0.0, "every row has it");
}

fn sampled(denoiser: Box<dyn Denoiser>, rows: &[u64], label: Observed, sampler: Sampling) -> [Tensor; 2] {
    let request = Request {
        denoiser: "d".to_string(),
        rows: rows.to_vec(),
        states: [("x".to_string(), Observed::Noisy), ("label".to_string(), label)].into(),
        sampler,
        guidance: Vec::new(),
        seed: 4,
        outputs: vec!["x".to_string(), "label".to_string()],
    };
    let mut streams = engine(vec![("d", denoiser)], 8).handle().submit(request).unwrap().wait().unwrap().streams;
    ["x", "label"].map(|name| streams.swap_remove(name).unwrap())
}

#[test]
fn sampling_embeds_the_previous_estimate_and_returns_the_last() {
    let build = || network(Parameterization::Eps, &[label(0.6, AggregationSchedule::Start, 0.3)]);
    let steps = 4;
    let [x, label] = sampled(build(), &[7, 8, 9], Observed::Noisy, Sampling::new(Ddim { eta: 0.0 }, steps));
    // Walkthrough: the null embedding at first, then the embedding of the estimate before.
    let schedule = Schedule::vp_linear();
    let denoiser = build();
    let mut y = anyflow_diffusion::noise::normals_tensor(4, &[7, 8, 9], "x", 0, &SHAPE, Device::Cpu).unwrap();
    let mut estimate = Tensor::zeros([3, CLASSES], (Kind::Float, Device::Cpu));
    for pair in schedule.times(steps).windows(2) {
        let column = |first: f64| Tensor::from_slice(&[first as f32, first as f32]).expand([3, 2], false).contiguous();
        let input = DenoiserInput::new(vec![y.shallow_clone(), estimate], column(pair[0]), column(1.0));
        let mut outputs = tch::no_grad(|| denoiser.predict(&input)).unwrap();
        estimate = outputs.pop().unwrap();
        let eps = outputs.pop().unwrap();
        let a = schedule.signal(pair[0]);
        let s = schedule.noise(pair[0]);
        let x0 = (&y - &eps * s) / a;
        y = if pair[1] == 0.0 { x0 } else { x0 * schedule.signal(pair[1]) + eps * schedule.noise(pair[1]) };
    }
    let off = |one: &Tensor, other: &Tensor| (one - other).abs().max().double_value(&[]);
    // f32, with 1 / a of the first step in it.
    assert!(off(&x, &y) < 2e-3 * y.abs().max().double_value(&[]), "{}", off(&x, &y));
    assert!(off(&label, &estimate) < 2e-3);
    // A row does not depend on the rest of the batch.
    let [alone, of_alone] = sampled(build(), &[8], Observed::Noisy, Sampling::new(Ddim { eta: 0.0 }, steps));
    assert!(off(&alone, &x.narrow(0, 1, 1)) < 1e-4 * y.abs().max().double_value(&[]));
    assert!(off(&of_alone, &label.narrow(0, 1, 1)) < 1e-4);
    // An observed label is returned as it is, and another label gives another x.
    let given = |class: i64| {
        let value = one_hot(8).narrow(0, class, 1).expand([3, CLASSES], false).contiguous();
        sampled(build(), &[7, 8, 9], Observed::Clean(value), Sampling::new(Ddim { eta: 0.0 }, steps))
    };
    let ([first, label], [second, _]) = (given(0), given(1));
    assert_eq!(label.argmax(-1, false).sum(Kind::Int64).int64_value(&[]), 0);
    assert!(off(&first, &second) > 1e-3);
}

#[test]
fn invalid_auxiliary_streams_are_rejected_with_reasons() {
    let head = Head {
        reads: "down.0".to_string(),
        network: Mlp { width: 8 }.into(),
        loss: HeadLoss::Mse,
        weight: 1.0,
        embedding_weight: 1.0,
    };
    let network: Network = serde_json::from_value(json!({"kind": "residual-mlp", "width": 16, "blocks": 2})).unwrap();
    let build = |connections: Auxiliary| {
        let streams = [stream("x", &SHAPE, Parameterization::Eps), auxiliary("c", &[3], connections)];
        build(&network, &streams, &on_cpu(Precision::F32, 3))
    };
    let error = build(Auxiliary { aggregate: None, head: Some(head.clone()) }).err().unwrap().to_string();
    assert!(error.contains("down.0") && error.contains("block.1"), "{error}");
    let conv = Head { reads: "last".to_string(), network: Conv { width: 8 }.into(), ..head };
    let error = build(Auxiliary { aggregate: None, head: Some(conv) }).err().unwrap().to_string();
    assert!(error.contains("[16] at last"), "{error}");
    let astray =
        Embedding { aggregation: Aggregation { weight: 1.0, ..Aggregation::default() }, into: "y".to_string() };
    let error = build(Auxiliary { aggregate: Some(astray), head: None }).err().unwrap().to_string();
    assert!(error.contains("\"y\""), "{error}");
    let silent = build(Auxiliary { aggregate: aggregate(1.0, AggregationSchedule::Start, 0.0), head: None }).unwrap();
    let request = Request {
        denoiser: "d".to_string(),
        rows: vec![1],
        states: [("x".to_string(), Observed::Noisy), ("c".to_string(), Observed::Noisy)].into(),
        sampler: Sampling::new(Ddim { eta: 0.0 }, 2),
        guidance: Vec::new(),
        seed: 4,
        outputs: vec!["x".to_string()],
    };
    let error = engine(vec![("d", silent)], 8).handle().submit(request).unwrap().wait().err().unwrap().to_string();
    assert!(error.contains("has no head"), "{error}");
}

#[test]
fn a_head_learns_without_the_embedding() {
    // Four well separated means in six dimensions; only the head has something to learn.
    let denoiser = network(Parameterization::X0, &[label(0.5, AggregationSchedule::Start, 0.5)]);
    let means = normal(CLASSES, &SHAPE) * 2.0;
    let truth = one_hot(64);
    let x = (&truth * MOMENTS.1 + MOMENTS.0).matmul(&means) + normal(64, &SHAPE) * 0.05;
    let parameters: Vec<Tensor> = denoiser.parameters().into_iter().map(|(_, tensor)| tensor).collect();
    let law = TimeDistribution::SharedAll(Default::default());
    for step in 0..150 {
        let latents = [x.shallow_clone(), truth.shallow_clone()];
        let output =
            denoising_loss(denoiser.as_ref(), &latents, &law, &LossOptions::default(), DrawKey { seed: 1, step })
                .unwrap();
        output.loss.backward();
        for parameter in &parameters {
            let _ = tch::no_grad(|| parameter.shallow_clone().g_sub_(&(parameter.grad() * 0.1)));
            let _ = parameter.grad().zero_();
        }
    }
    let columns = |first: f64, second: f64| {
        Tensor::from_slice(&[first as f32, second as f32]).expand([64, 2], false).contiguous()
    };
    let input = DenoiserInput::new(vec![x, truth.zeros_like()], columns(0.02, 1.0), columns(1.0, 0.0));
    let read = tch::no_grad(|| denoiser.predict(&input)).unwrap().swap_remove(1);
    let right = read.argmax(-1, false).eq_tensor(&truth.argmax(-1, false)).to_kind(Kind::Float).mean(Kind::Float);
    assert!(right.double_value(&[]) > 0.9, "{right:?}");
}
