//! Guidance against known scores, and its invariants.

use std::sync::{Arc, Mutex};

use anyflow_config::sampler::{Ddim, EulerMaruyama};
use anyflow_diffusion::{
    Branch, DenoiserInput, EngineError, Observed, Parameterization, Request, Sampling, Schedule, Solver, noise,
};
use indexmap::IndexMap;
use tch::{Device, Kind, Tensor};

use crate::correlated_pair::{CORRELATION, Pair};
use crate::fakes::{
    Probe, bits, conditional, ddim, engine, joint, normal, stirred_mlp, stream, two_streams, values, worst,
    zeros_like_x,
};

/// f32 values of order one, the same row in another batch: libtorch may choose another kernel.
const BATCH_TOLERANCE_F32: f64 = 1e-5;

fn branch(dropped: &[&str], weights: &[(&str, f64)]) -> Branch {
    let weights: IndexMap<_, _> = weights.iter().map(|(name, weight)| (name.to_string(), *weight)).collect();
    Branch { dropped: dropped.iter().map(ToString::to_string).collect(), weights }
}

fn run(engine: &anyflow_diffusion::Engine, requests: Vec<Request>) -> Vec<anyflow_diffusion::Sampled> {
    let tickets = engine.handle().submit_all(requests).unwrap();
    tickets.into_iter().map(|ticket| ticket.wait().unwrap()).collect()
}

fn guided(rows: std::ops::Range<u64>, scale: f64) -> Request {
    let count = rows.clone().count() as i64;
    let mut request = conditional(rows, ddim(9), normal(count, &[2, 2]));
    request.guidance = vec![branch(&["right"], &[("left", scale - 1.0)])];
    request
}

fn given_y(rows: u64, steps: usize, y: f64, guidance: Vec<Branch>) -> Request {
    let y = Tensor::full([rows as i64, 1], y, (Kind::Float, Device::Cpu));
    Request {
        denoiser: "d".to_string(),
        rows: (0..rows).collect(),
        states: [("x".to_string(), Observed::Noisy), ("y".to_string(), Observed::Clean(y))].into(),
        sampler: Sampling::new(Ddim { eta: 0.0 }, steps),
        guidance,
        seed: 3,
        outputs: vec!["x".to_string()],
    }
}

/// The guided x0 estimate is u + g (c - u): both known Gaussians, so the trajectory is known in f64.
#[test]
fn the_guided_trajectory_is_that_of_known_gaussians() {
    /// f32 state over 20 steps, values up to 4.
    const TOLERANCE_F32: f64 = 1e-5;
    let schedule = Schedule::vp_linear();
    let y = 1.2;
    let rows = 4;
    let engine = engine(vec![("d", Box::new(Pair::new(schedule.clone())))], 64);
    for scale in [2.5, 0.3] {
        let guidance = vec![branch(&["y"], &[("x", scale - 1.0)])];
        let found = run(&engine, vec![given_y(rows, 20, y, guidance)]).remove(0).streams.swap_remove("x").unwrap();
        let table = Sampling::new(Ddim { eta: 0.0 }, 20).table(&schedule);
        for row in 0..rows {
            let start = |stream| {
                let mut start = [0.0];
                noise::normals(3, row, stream, noise::START_STEP, &mut start);
                f64::from(start[0])
            };
            let mut x = start("x");
            for step in &table.steps {
                let noise = |t: f64| (schedule.noise(t) / schedule.signal(t)).powi(2);
                let seen = x / schedule.signal(step.from.t);
                let estimate = |level: f64, other: f64, there: bool| {
                    let [own, of_other] = Pair::gains([noise(step.from.t), level], there);
                    own * seen + of_other * other
                };
                let conditional = estimate(0.0, y, true);
                let other = estimate(0.0, 0.0, false);
                x = step.next.x * x + step.next.denoised * (other + scale * (conditional - other));
            }
            let found = found.double_value(&[row as i64, 0]);
            assert!((found - x).abs() < TOLERANCE_F32, "{scale}: {found} {x}");
        }
    }
}

/// Given y = 1 the mean of x is the correlation; without y it is 0; with g > 1 it is beyond.
#[test]
fn a_larger_scale_moves_the_mean_towards_the_condition() {
    let engine = engine(vec![("d", Box::new(Pair::new(Schedule::vp_linear())))], 4096);
    let mean = |scale: f64| {
        let guidance = vec![branch(&["y"], &[("x", scale - 1.0)])];
        let sampled = run(&engine, vec![given_y(1024, 40, 1.0, guidance)]).remove(0);
        sampled.streams["x"].mean(Kind::Double).double_value(&[])
    };
    // Four standard errors of a mean over 1024 rows of unit variance at most.
    let error = 4.0 / 32.0;
    let none = mean(0.0);
    let plain = mean(1.0);
    let strong = mean(3.0);
    assert!(none.abs() < error && (plain - CORRELATION).abs() < error, "{none} {plain}");
    assert!(strong > plain + 0.2, "{plain} {strong}");
}

#[test]
fn a_scale_of_one_costs_nothing_and_keeps_the_bits() {
    let plain = engine(vec![("d", stirred_mlp(&two_streams()))], 64);
    let with = |guidance: Vec<Branch>| {
        let mut request = conditional(0..5, ddim(9), normal(5, &[2, 2]));
        request.guidance = guidance;
        run(&plain, vec![request]).remove(0)
    };
    let expected = with(Vec::new());
    let before = plain.handle().stats().row_steps;
    let guidance: anyflow_diffusion::Guidance = serde_json::from_str(r#"{"kind": "cfg", "scale": 1.0}"#).unwrap();
    let found = with(Branch::of(&guidance, &["right"], &["left"]));
    assert_eq!(bits(&found.streams["left"]), bits(&expected.streams["left"]));
    assert_eq!(plain.handle().stats().row_steps - before, 5 * 9);
}

#[test]
fn a_scale_of_zero_is_the_model_without_the_condition() {
    let guided_engine = engine(vec![("d", stirred_mlp(&two_streams()))], 64);
    let found = run(&guided_engine, vec![guided(0..5, 0.0)]).remove(0);
    let mut without = joint(0..5, ddim(9));
    without.states.insert("right".to_string(), Observed::Absent);
    without.outputs.pop();
    let expected = run(&guided_engine, vec![without]).remove(0);
    assert!(worst(&found.streams["left"], &expected.streams["left"]) < BATCH_TOLERANCE_F32);
    let conditional = run(&guided_engine, vec![guided(0..5, 1.0 + 1e-9)]).remove(0);
    assert!(worst(&found.streams["left"], &conditional.streams["left"]) > 1e-3);
}

/// Each weight multiplies the difference to its own branch: walkthrough of one step.
#[test]
fn every_condition_has_its_own_strength() {
    let streams = ["out", "one", "two"].map(|name| stream(name, &[2], Schedule::cosine(), Parameterization::X0));
    let rule = |batch: &DenoiserInput| {
        let present = |index: i64| batch.present().unwrap().narrow(1, index, 1);
        let out = &batch.x[0] * 0.5 + &batch.x[1] * present(1) * 2.0 + &batch.x[2] * present(2) * 3.0;
        Ok(vec![out, batch.x[1].zeros_like(), batch.x[2].zeros_like()])
    };
    let (probe, seen) = Probe::new(&streams, rule);
    let engine = engine(vec![("d", Box::new(probe))], 64);
    let full = |value: f64| Observed::Clean(Tensor::full([3, 2], value, (Kind::Float, Device::Cpu)));
    let request = Request {
        denoiser: "d".to_string(),
        rows: vec![1, 2, 3],
        states: [("out".into(), Observed::Noisy), ("one".into(), full(1.0)), ("two".into(), full(10.0))].into(),
        sampler: ddim(1),
        guidance: vec![branch(&["one"], &[("out", 1.0)]), branch(&["two"], &[("out", -0.5)])],
        seed: 1,
        outputs: vec!["out".to_string()],
    };
    let found = run(&engine, vec![request]).remove(0).streams.swap_remove("out").unwrap();
    let start = seen.lock().unwrap().x[0][0].narrow(0, 0, 3);
    // p + 1 (p - p_one) - 0.5 (p - p_two), with p - p_one = 2 and p - p_two = 30.
    let expected = start * 0.5 + (2.0 + 30.0) + 2.0 - 15.0;
    assert!(worst(&found, &expected) < 1e-5);
    assert_eq!(seen.lock().unwrap().rows, [9]);
}

#[test]
fn rows_with_and_without_guidance_share_a_batch() {
    let engine = engine(vec![("d", stirred_mlp(&two_streams()))], 64);
    let requests = || {
        let mut both = joint(4..7, Sampling::new(EulerMaruyama {}, 12));
        both.guidance = vec![branch(&["right"], &[("left", 0.5)]), branch(&["left"], &[("right", 2.0)])];
        vec![guided(0..4, 3.0), joint(7..9, ddim(5)), both]
    };
    let mixed = run(&engine, requests());
    for (index, mixed) in mixed.iter().enumerate() {
        let alone = run(&engine, vec![requests().swap_remove(index)]).remove(0);
        for (name, expected) in &alone.streams {
            assert!(worst(expected, &mixed.streams[name]) < BATCH_TOLERANCE_F32, "{index} {name}");
        }
    }
    // The same row by row.
    let whole = run(&engine, vec![requests().swap_remove(2)]).remove(0);
    for row in 4..7u64 {
        let mut request = requests().swap_remove(2);
        request.rows = vec![row];
        let alone = run(&engine, vec![request]).remove(0);
        let expected = whole.streams["right"].narrow(0, row as i64 - 4, 1);
        assert!(worst(&expected, &alone.streams["right"]) < BATCH_TOLERANCE_F32, "{row}");
    }
}

#[test]
fn the_cap_counts_the_rows_of_branches() {
    let (probe, seen) = Probe::new(&two_streams(), zeros_like_x);
    let small = engine(vec![("d", Box::new(probe))], 5);
    let mut request = guided(0..5, 2.0);
    request.sampler = ddim(2);
    run(&small, vec![request]);
    assert_eq!(seen.lock().unwrap().rows, [4, 4, 4, 4, 2, 2]);
    assert_eq!(small.handle().stats().row_steps, 20);
    // A row that exceeds the cap goes alone, in parts.
    let (probe, seen) = Probe::new(&two_streams(), zeros_like_x);
    let tiny = engine(vec![("d", Box::new(probe))], 1);
    let mut request = guided(0..2, 2.0);
    request.sampler = ddim(1);
    run(&tiny, vec![request]);
    assert_eq!(seen.lock().unwrap().rows, [1, 1, 1, 1]);
}

#[test]
fn the_network_sees_which_streams_a_branch_drops() {
    type Columns = (Vec<f32>, Vec<f32>);
    let columns: Arc<Mutex<Vec<Columns>>> = Arc::default();
    let list = |tensor: &Tensor| Vec::<f32>::try_from(tensor.contiguous().view([-1])).unwrap();
    let remembered = columns.clone();
    let (probe, seen) = Probe::new(&two_streams(), move |batch| {
        remembered.lock().unwrap().push((list(&batch.t().unwrap()), list(&batch.present().unwrap())));
        zeros_like_x(batch)
    });
    let engine = engine(vec![("d", Box::new(probe))], 8);
    let mut request = guided(0..1, 2.0);
    request.sampler = ddim(2);
    run(&engine, vec![request]);
    let columns = std::mem::take(&mut *columns.lock().unwrap());
    assert_eq!(columns[0], (vec![1.0, 0.0, 1.0, 1.0], vec![1.0, 1.0, 1.0, 0.0]));
    assert_eq!(columns[1], (vec![0.5, 0.0, 0.5, 1.0], vec![1.0, 1.0, 1.0, 0.0]));
    let seen = &seen.lock().unwrap().x;
    for call in seen {
        assert_eq!(values(&call[1].narrow(0, 1, 1)), [0.0; 4]);
    }
    assert_eq!(bits(&seen[1][0].narrow(0, 0, 1)), bits(&seen[1][0].narrow(0, 1, 1)));
}

#[test]
fn invalid_branches_are_rejected() {
    let engine = engine(vec![("d", stirred_mlp(&two_streams()))], 8);
    let refused = |guidance: Branch| {
        let mut request = guided(0..2, 2.0);
        request.guidance = vec![guidance];
        engine.handle().submit(request).unwrap_err()
    };
    let unknown = refused(branch(&["middle"], &[("left", 1.0)]));
    assert!(matches!(unknown, EngineError::Unknown { .. }));
    for wrong in [
        branch(&["left"], &[("left", 1.0)]),
        branch(&["left"], &[("right", 1.0)]),
        branch(&["right"], &[("left", f64::NAN)]),
    ] {
        assert!(matches!(refused(wrong), EngineError::Request(_)));
    }
}
