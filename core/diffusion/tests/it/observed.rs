//! Streams that are observed noised or in part, and resampling.

use anyflow_config::sampler::{Ddim, EulerMaruyama, Heun, Unipc};
use anyflow_diffusion::{
    EngineError, Observed, Parameterization, Request, Resample, Sampled, Sampling, Schedule, Solver, noise,
};
use tch::{Device, Kind, Tensor};

use crate::correlated_pair::{CORRELATION, Pair};
use crate::fakes::{
    Probe, bits, conditional, ddim, engine, joint, normal, stirred_mlp, stream, two_streams, worst, zeros_like_x,
};

/// f32 values of order one, the same row in another batch: libtorch may choose another kernel.
const BATCH_TOLERANCE_F32: f64 = 1e-5;

fn run(engine: &anyflow_diffusion::Engine, requests: Vec<Request>) -> Vec<Sampled> {
    let tickets = engine.handle().submit_all(requests).unwrap();
    tickets.into_iter().map(|ticket| ticket.wait().unwrap()).collect()
}

fn noised(rows: std::ops::Range<u64>, sampler: Sampling, right: Tensor) -> Request {
    let mut request = conditional(rows, sampler, right.copy());
    request.states.insert("right".to_string(), Observed::Noised(right));
    request
}

/// Two of the four elements of "right" are observed.
fn partly(rows: std::ops::Range<u64>, sampler: Sampling, value: Tensor) -> Request {
    let mask = Tensor::from_slice(&[1.0f32, 0.0, 0.0, 1.0]).view([1, 2, 2]).expand_as(&value).contiguous();
    let mut request = joint(rows, sampler);
    request.states.insert("right".to_string(), Observed::Inpaint { value, mask });
    request
}

fn row_noise(row: u64, step: u32) -> Tensor {
    noise::normals_tensor(11, &[row], "right", step, &[2, 2], Device::Cpu).unwrap()
}

#[test]
fn a_noised_stream_holds_its_own_noised_version_at_every_step() {
    let (probe, seen) = Probe::new(&two_streams(), zeros_like_x);
    let engine = engine(vec![("d", Box::new(probe))], 8);
    let value = Tensor::from_slice(&[0.1f32, -0.0, 1e-42, 2.0]).view([1, 2, 2]);
    let sampled = run(&engine, vec![noised(4..5, ddim(5), value.copy())]).remove(0);
    assert_eq!(bits(&sampled.streams["right"]), bits(&value));
    let schedule = &two_streams()[1].schedule;
    let seen = &seen.lock().unwrap().x;
    for (step, t) in schedule.times(5).into_iter().take(5).enumerate() {
        let expected = &value * schedule.signal(t) + row_noise(4, step as u32) * schedule.noise(t);
        assert!(worst(&seen[step][1], &expected) < 1e-6, "step {step}");
    }
}

#[test]
fn the_network_gets_the_shared_time_of_a_noised_stream() {
    let (probe, _) = Probe::new(&two_streams(), |batch| {
        let t = Vec::<f32>::try_from(batch.t().unwrap().contiguous().view([-1])).unwrap();
        assert!((t[0] * 0.996 - t[1]).abs() < 1e-6 && t[1] > 0.0, "{t:?}");
        zeros_like_x(batch)
    });
    let engine = engine(vec![("d", Box::new(probe))], 8);
    run(&engine, vec![noised(0..1, ddim(4), normal(1, &[2, 2]))]);
}

#[test]
fn observed_elements_keep_their_bits_and_are_noised_in_between() {
    let schedule = Schedule::cosine();
    let streams = [("left", vec![3]), ("right", vec![2, 2])]
        .map(|(name, shape)| stream(name, &shape, schedule.clone(), Parameterization::X0));
    let value = Tensor::from_slice(&[-0.0f32, 5.0, f32::NAN, 1e-42]).view([1, 2, 2]);
    let (probe, seen) = Probe::new(&streams, zeros_like_x);
    let probed = engine(vec![("d", Box::new(probe))], 8);
    let sampled = run(&probed, vec![partly(2..3, ddim(4), value.copy())]).remove(0);
    let found = bits(&sampled.streams["right"]);
    let expected = bits(&value);
    assert_eq!((found[0], found[3]), (expected[0], expected[3]));
    // x0 is predicted as zero everywhere: generated elements end there, whatever is observed.
    assert_eq!((f32::from_bits(found[1]), f32::from_bits(found[2])), (0.0, 0.0));
    assert!(sampled.rows_failed.is_empty());
    let seen = &seen.lock().unwrap().x;
    for (step, t) in schedule.times(4).into_iter().take(4).enumerate() {
        let noise = row_noise(2, step as u32).double_value(&[0, 1, 1]);
        let found = seen[step][1].double_value(&[0, 1, 1]);
        assert!((found - schedule.noise(t) * noise).abs() < 1e-6, "step {step}: {found}");
    }
    assert_eq!(seen[0][1].double_value(&[0, 0, 1]) as f32, row_noise(2, 0).double_value(&[0, 0, 1]) as f32);
}

#[test]
fn all_kinds_of_observed_streams_share_a_batch() {
    let engine = engine(vec![("d", stirred_mlp(&two_streams()))], 64);
    for sampler in [ddim(9), Sampling::new(EulerMaruyama {}, 9), Sampling::new(Unipc {}, 7)] {
        let requests = || {
            vec![
                noised(0..3, sampler.clone(), normal(3, &[2, 2])),
                joint(3..5, ddim(6)),
                partly(5..8, sampler.clone(), normal(3, &[2, 2])),
                conditional(8..10, Sampling::new(Heun {}, 5), normal(2, &[2, 2])),
            ]
        };
        for (index, mixed) in run(&engine, requests()).into_iter().enumerate() {
            let alone = run(&engine, vec![requests().swap_remove(index)]).remove(0);
            for (name, expected) in &alone.streams {
                assert!(worst(expected, &mixed.streams[name]) < BATCH_TOLERANCE_F32, "{sampler:?} {index} {name}");
            }
        }
    }
}

#[test]
fn invalid_masks_are_rejected() {
    let engine = engine(vec![("d", stirred_mlp(&two_streams()))], 8);
    let mut request = partly(0..2, ddim(2), normal(2, &[2, 2]));
    let value = normal(2, &[2, 2]);
    let mask = normal(2, &[3]);
    request.states.insert("right".to_string(), Observed::Inpaint { value, mask });
    assert!(matches!(engine.handle().submit(request).unwrap_err(), EngineError::Shape { .. }));
    let mut request = noised(0..2, ddim(2), normal(2, &[2, 2]));
    request.states.insert("left".to_string(), Observed::Absent);
    request.outputs = vec!["right".to_string()];
    assert!(matches!(engine.handle().submit(request).unwrap_err(), EngineError::Request(_)));
}

#[test]
fn resampling_calls_the_network_as_often_as_its_table_says() {
    let (probe, seen) = Probe::new(&two_streams(), zeros_like_x);
    let engine = engine(vec![("d", Box::new(probe))], 8);
    let sampling = Sampling { resample: Some(Resample { jump: 5, times: 3 }), ..ddim(20) };
    let evaluations = sampling.evaluations();
    let mut request = noised(0..2, ddim(1), normal(2, &[2, 2]));
    request.sampler = sampling;
    run(&engine, vec![request, joint(2..3, ddim(4))]);
    assert_eq!(seen.lock().unwrap().rows.len(), evaluations);
    // Jumps start 1, 6, 11 steps before the end, twice each.
    assert_eq!(evaluations, 20 + 2 * 3 * 5);
}

/// The sampled x given y, by replacement at one time, for two numbers of unit variance and a known correlation: the
/// slope of its mean in y and its variance, exact since every step is linear.
fn law(sampling: &Sampling, schedule: &Schedule) -> (f64, f64) {
    let table = sampling.table(schedule);
    table.steps.iter().fold((0.0, table.start_scale.powi(2)), |(slope, variance), step| {
        let a = schedule.signal(step.from.t);
        let s = schedule.noise(step.from.t);
        let [own, other] = Pair::gains([(s / a).powi(2); 2], true);
        // y is seen as a y + s eps, with eps fresh at each step.
        let kept = step.next.x + step.next.denoised * own / a;
        let drawn = step.next.denoised * other;
        let fresh = (drawn * s / a).powi(2) + step.next.noise.powi(2);
        (kept * slope + drawn, kept * kept * variance + fresh)
    })
}

fn resampled(steps: usize, resample: Option<Resample>) -> Sampling {
    Sampling { resample, ..Sampling::new(Ddim { eta: 1.0 }, steps) }
}

/// Given y, x has mean 0.8 y and variance 0.36. With replacement alone the samples follow y far too little; the more
/// often each stretch is resampled, and the finer the steps, the closer the distribution is to the right one.
#[test]
fn resampling_approaches_the_conditional_distribution_that_replacement_misses() {
    let schedule = Schedule::vp_linear();
    let errors = |steps, resample| {
        let (slope, variance) = law(&resampled(steps, resample), &schedule);
        ((slope - CORRELATION).abs(), (variance - 1.0 + CORRELATION * CORRELATION).abs())
    };
    let times = |times| Some(Resample { jump: 20, times });
    let slopes = [None, times(2), times(5), times(15), times(50)].map(|resample| errors(1000, resample).0);
    assert!(slopes.windows(2).all(|pair| pair[1] < 0.75 * pair[0]), "{slopes:?}");
    let plain = errors(1000, None);
    let often = errors(1000, times(50));
    assert!(plain.0 > 0.29 && plain.1 > 0.1, "{plain:?}");
    assert!(often.0 < 0.01 && often.1 < 0.02, "{often:?}");
}

#[test]
fn the_engine_resamples_as_the_table_says() {
    let rows = 4000;
    let schedule = Schedule::vp_linear();
    let engine = engine(vec![("d", Box::new(Pair::new(schedule.clone())))], rows as usize);
    for resample in [None, Some(Resample { jump: 5, times: 10 })] {
        let y = normal(rows, &[1]);
        let sampler = resampled(50, resample.clone());
        let (slope, variance) = law(&sampler, &schedule);
        let request = Request {
            denoiser: "d".to_string(),
            rows: (0..rows as u64).collect(),
            states: [("x".into(), Observed::Noisy), ("y".into(), Observed::Noised(y.copy()))].into(),
            sampler,
            guidance: Vec::new(),
            seed: 5,
            outputs: vec!["x".to_string()],
        };
        let x = run(&engine, vec![request]).remove(0).streams.swap_remove("x").unwrap().to_kind(Kind::Double);
        let y = y.to_kind(Kind::Double);
        let mean = |product: Tensor| product.mean(None::<Kind>).double_value(&[]);
        let found = mean(&x * &y) / mean(&y * &y);
        let rest = &x - &y * found;
        let spread = mean(&rest * &rest);
        // Four standard errors of either.
        let of_slope = (variance / 4000.0).sqrt();
        let of_variance = variance * (2.0f64 / 4000.0).sqrt();
        assert!((found - slope).abs() < 4.0 * of_slope, "{resample:?}: {found} {slope}");
        assert!((spread - variance).abs() < 4.0 * of_variance, "{resample:?}: {spread} {variance}");
    }
}

#[test]
fn a_late_start_begins_with_the_noised_init_value() {
    let sampled = |start_at: f64, state: Observed| {
        let request = Request {
            denoiser: "d".to_string(),
            rows: (0..4).collect(),
            states: [("x".to_string(), state)].into(),
            sampler: Sampling { start_at: Some(start_at), ..Sampling::new(Ddim { eta: 0.0 }, 6) },
            guidance: Vec::new(),
            seed: 9,
            outputs: vec!["x".to_string()],
        };
        let denoiser = stirred_mlp(&[stream("x", &[4], Schedule::vp_linear(), Parameterization::Eps)]);
        engine(vec![("d", denoiser)], 8).handle().submit(request).unwrap().wait()
    };
    let value = normal(4, &[4]) * 0.3 + 1.0;
    let near = sampled(1e-3, Observed::Init(value.shallow_clone())).unwrap().streams.swap_remove("x").unwrap();
    assert!((near - &value).abs().max().double_value(&[]) < 0.1, "hardly any noise, hardly any change");
    let [one, other] =
        [0.0, 1.0].map(|moved| sampled(0.5, Observed::Init(&value + moved)).unwrap().streams.swap_remove("x").unwrap());
    assert!((one - other).abs().min().double_value(&[]) > 1e-3, "what it begins from shows");
    let error = sampled(0.5, Observed::Noisy).err().unwrap().to_string();
    assert!(error.contains("starts late"), "{error}");
}
