//! The engine as a service: batching, clamping, isolation of failures.

use std::time::Duration;

use anyflow_config::sampler::{Ddim, EulerMaruyama};
use anyflow_diffusion::{Engine, EngineError, Observed, Request, Sampled, Sampling};
use tch::{Device, Tensor};

use crate::fakes::{
    Gaussian, Probe, bits, conditional, ddim, engine, joint, normal, stirred_mlp, two_streams, worst, zeros_like_x,
};

/// f32 values of order one, the same row in another batch: libtorch may choose another kernel.
const BATCH_TOLERANCE_F32: f64 = 1e-5;

fn mlp_engine(max_batch_rows: usize) -> Engine {
    engine(vec![("d", stirred_mlp(&two_streams()))], max_batch_rows)
}

fn run(engine: &Engine, requests: Vec<Request>) -> Vec<Sampled> {
    let tickets = engine.handle().submit_all(requests).unwrap();
    tickets.into_iter().map(|ticket| ticket.wait().unwrap()).collect()
}

fn noisy_sampler(steps: usize) -> Sampling {
    Sampling::new(EulerMaruyama {}, steps)
}

#[test]
fn a_row_comes_out_the_same_in_any_batch() {
    let engine = mlp_engine(16);
    for sampler in [ddim(12), Sampling::new(Ddim { eta: 0.7 }, 12), noisy_sampler(25)] {
        let together = run(&engine, vec![joint(0..7, sampler.clone())]).remove(0);
        let others = vec![
            joint(100..103, noisy_sampler(9)),
            joint([4], sampler.clone()),
            conditional(0..20, ddim(31), normal(20, &[2, 2])),
        ];
        let mixed = run(&engine, others).remove(1);
        for (name, expected) in &together.streams {
            assert!(worst(&expected.narrow(0, 4, 1), &mixed.streams[name]) < BATCH_TOLERANCE_F32, "{name}");
            let reversed = run(&engine, vec![joint((0..7).rev(), sampler.clone())]).remove(0);
            assert!(worst(expected, &reversed.streams[name].flip([0])) < BATCH_TOLERANCE_F32, "{name}");
            for row in 0..7 {
                let alone = run(&engine, vec![joint([row], sampler.clone())]).remove(0);
                let found = worst(&expected.narrow(0, row as i64, 1), &alone.streams[name]);
                assert!(found < BATCH_TOLERANCE_F32, "{name} row {row}: {found}");
            }
        }
    }
}

#[test]
fn equal_batching_gives_equal_bits() {
    let mix = || {
        vec![
            joint(0..5, ddim(6)),
            conditional(5..14, noisy_sampler(10), normal(9, &[2, 2])),
            joint(20..23, Sampling::new(Ddim { eta: 1.0 }, 4)),
        ]
    };
    let first = run(&mlp_engine(8), mix());
    let second = run(&mlp_engine(8), mix());
    for (first, second) in first.iter().zip(&second) {
        for (name, tensor) in &first.streams {
            assert_eq!(bits(tensor), bits(&second.streams[name]));
        }
    }
}

#[test]
fn rows_of_different_requests_and_steps_share_calls() {
    let (probe, seen) = Probe::new(&two_streams(), zeros_like_x);
    let engine = engine(vec![("d", Box::new(probe))], 64);
    run(&engine, vec![joint(0..3, ddim(10)), joint(3..5, noisy_sampler(4))]);
    assert_eq!(seen.lock().unwrap().rows, [5, 5, 5, 5, 3, 3, 3, 3, 3, 3]);
    let stats = engine.handle().stats();
    assert_eq!((stats.steps, stats.row_steps), (10, 38));
}

#[test]
fn the_cap_holds_and_waiting_rows_follow_in_order() {
    let (probe, seen) = Probe::new(&two_streams(), zeros_like_x);
    let engine = engine(vec![("d", Box::new(probe))], 4);
    let sampled = run(&engine, vec![joint(0..6, ddim(3)), joint(6..9, ddim(2))]);
    // Two of each, as they take turns; each free row of the batch is filled at the next step.
    assert_eq!(seen.lock().unwrap().rows, [4, 4, 4, 4, 4, 3, 1]);
    assert_eq!(sampled[0].streams["left"].size(), [6, 3]);
    assert_eq!(sampled[1].streams["right"].size(), [3, 2, 2]);
}

#[test]
fn rows_of_a_split_request_stay_in_order() {
    let whole = run(&mlp_engine(64), vec![joint(0..23, noisy_sampler(5))]).remove(0);
    let split = run(&mlp_engine(5), vec![joint(50..52, ddim(3)), joint(0..23, noisy_sampler(5))]).remove(1);
    for (name, tensor) in &whole.streams {
        assert!(worst(tensor, &split.streams[name]) < BATCH_TOLERANCE_F32, "{name}");
    }
}

#[test]
fn clean_streams_keep_their_bits_at_every_step() {
    let given = Tensor::from_slice(&[0.1f32, -0.0, 1e-42, -3e38, 1.0, 0.3, 0.7, -0.25]).view([2, 2, 2]);
    // An output that would spoil them if it were used, even times zero.
    let (probe, seen) = Probe::new(&two_streams(), |batch| Ok(batch.x.iter().map(|x| x.full_like(f64::NAN)).collect()));
    let probed = engine(vec![("d", Box::new(probe))], 64);
    // Rows that generate the stream are in the same batch, so that the clamp is by row.
    let sampled = run(&probed, vec![joint(7..9, ddim(3)), conditional(0..2, ddim(3), given.copy())]).remove(1);
    assert_eq!(bits(&sampled.streams["right"]), bits(&given));
    for x in &seen.lock().unwrap().x {
        assert_eq!(bits(&x[1].narrow(0, 2, 2)), bits(&given));
    }
    let sampled = run(&mlp_engine(64), vec![conditional(0..2, noisy_sampler(5), given.copy())]).remove(0);
    assert_eq!(bits(&sampled.streams["right"]), bits(&given));
}

#[test]
fn the_network_sees_which_streams_are_absent() {
    let (probe, seen) = Probe::new(&two_streams(), |batch| {
        let present = batch.present().unwrap().to_kind(tch::Kind::Int64);
        assert_eq!(Vec::<i64>::try_from(present.flatten(0, -1)).unwrap(), [1, 0, 1, 0]);
        zeros_like_x(batch)
    });
    let engine = engine(vec![("d", Box::new(probe))], 64);
    let mut request = joint(0..2, ddim(3));
    request.states.insert("right".to_string(), Observed::Absent);
    request.outputs.pop();
    let sampled = run(&engine, vec![request]).remove(0);
    assert_eq!(sampled.streams.len(), 1);
    assert!(seen.lock().unwrap().x.iter().all(|x| x[1].abs().max().double_value(&[]) == 0.0));
}

#[test]
fn a_row_that_is_not_finite_fails_alone() {
    let good = || stirred_mlp(&two_streams());
    let network = good();
    let (probe, _) = Probe::new(&two_streams(), move |batch| {
        let mut outputs = network.predict(batch)?;
        let poisoned = batch.x[1].flatten(1, 2).narrow(1, 0, 1).gt(100.0);
        outputs[0] = outputs[0].where_self(&poisoned.logical_not(), &Tensor::from(f32::NAN));
        Ok(outputs)
    });
    let given = normal(5, &[2, 2]);
    let expected = run(&engine(vec![("d", good())], 8), vec![conditional(0..5, ddim(4), given.copy())]).remove(0);
    let _ = given.get(3).fill_(1000.0);
    let sampled = run(&engine(vec![("d", Box::new(probe))], 8), vec![conditional(0..5, ddim(4), given)]);
    let [sampled] = <[Sampled; 1]>::try_from(sampled).unwrap();
    assert_eq!(sampled.rows_failed.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [3]);
    assert!(sampled.rows_failed[0].1.contains("left"), "{:?}", sampled.rows_failed);
    for row in [0, 1, 2, 4] {
        assert!(worst(&sampled.streams["left"].get(row), &expected.streams["left"].get(row)) < BATCH_TOLERANCE_F32);
    }
}

#[test]
fn a_closure_that_panics_leaves_the_engine_running() {
    let engine = mlp_engine(8);
    let handle = engine.handle();
    let error = handle.call(|| -> i32 { panic!("the module is broken") }).unwrap_err();
    match error {
        EngineError::Panicked { message, .. } => assert_eq!(message, "the module is broken"),
        other => panic!("{other:?}"),
    }
    let name = handle.call(|| std::thread::current().name().map(str::to_string)).unwrap();
    assert_eq!(name.as_deref(), Some("anyflow-compute"));
    let sum = handle.call(|| Tensor::ones([3], (tch::Kind::Float, Device::Cpu)).sum(None).double_value(&[]));
    assert_eq!(sum.unwrap(), 3.0);
    assert!(handle.submit(joint(0..2, ddim(2))).unwrap().wait().is_ok());
}

#[test]
fn a_denoiser_that_fails_or_panics_fails_its_batch_only() {
    let failing = |batch: &anyflow_diffusion::DenoiserInput| match batch.rows() {
        3 => Err(EngineError::Request("three is too many".to_string())),
        2 => panic!("two is worse"),
        _ => zeros_like_x(batch),
    };
    let (probe, _) = Probe::new(&two_streams(), failing);
    let engine = engine(vec![("d", Box::new(probe)), ("other", stirred_mlp(&two_streams()))], 8);
    let mut other = joint(0..2, ddim(9));
    other.denoiser = "other".to_string();
    let other = engine.handle().submit(other).unwrap();
    let outcome = |rows: u64| engine.handle().submit(joint(0..rows, ddim(3))).unwrap().wait();
    assert_eq!(outcome(3).unwrap_err(), EngineError::Request("three is too many".to_string()));
    match outcome(2).unwrap_err() {
        EngineError::Panicked { what, message } => {
            assert_eq!((what.as_str(), message.as_str()), ("denoiser \"d\"", "two is worse"))
        }
        other => panic!("{other:?}"),
    }
    assert!(outcome(1).is_ok());
    assert!(other.wait().is_ok());
}

#[test]
fn running_out_of_memory_halves_the_batch() {
    let network = stirred_mlp(&two_streams());
    let (probe, seen) = Probe::new(&two_streams(), move |batch| match batch.rows() {
        3.. => Err(EngineError::OutOfMemory { op: "linear", shapes: String::new() }),
        _ => network.predict(batch),
    });
    let small = engine(vec![("d", Box::new(probe))], 64);
    let sampled = run(&small, vec![joint(0..7, ddim(2))]).remove(0);
    let expected = run(&mlp_engine(64), vec![joint(0..7, ddim(2))]).remove(0);
    assert!(worst(&sampled.streams["left"], &expected.streams["left"]) < BATCH_TOLERANCE_F32);
    // 7 and 4 fail; then parts of two, in both steps.
    assert_eq!(seen.lock().unwrap().rows, [7, 4, 2, 2, 2, 1, 2, 2, 2, 1]);
}

#[test]
fn dropping_the_engine_answers_every_ticket() {
    let (probe, _) = Probe::new(&two_streams(), |batch| {
        std::thread::sleep(Duration::from_millis(20));
        zeros_like_x(batch)
    });
    let engine = engine(vec![("d", Box::new(probe))], 2);
    let handle = engine.handle();
    let tickets: Vec<_> = (0..5).map(|row| handle.submit(joint(row..row + 3, ddim(100))).unwrap()).collect();
    drop(engine);
    for ticket in tickets {
        assert_eq!(ticket.wait().unwrap_err(), EngineError::Stopped);
    }
    assert_eq!(handle.submit(joint(0..1, ddim(2))).unwrap_err(), EngineError::Stopped);
    assert_eq!(handle.call(|| ()).unwrap_err(), EngineError::Stopped);
}

#[test]
fn submitting_blocks_rather_than_piling_up() {
    let (probe, _) = Probe::new(&two_streams(), zeros_like_x);
    let denoisers = [("d".to_string(), Box::new(probe) as _)].into();
    let config =
        anyflow_diffusion::EngineConfig { device: Device::Cpu, max_batch_rows: 2, max_waiting_rows: 3, queue: 1 };
    let engine = Engine::start(denoisers, config).unwrap();
    let tickets: Vec<_> = (0..40).map(|row| engine.handle().submit(joint(row..row + 2, ddim(2))).unwrap()).collect();
    for ticket in tickets {
        assert_eq!(ticket.wait().unwrap().streams["left"].size(), [2, 3]);
    }
}

#[test]
fn invalid_requests_are_rejected_at_once() {
    let engine = mlp_engine(8);
    let handle = engine.handle();
    let refused = |change: fn(&mut Request)| {
        let mut request = joint(0..2, ddim(2));
        change(&mut request);
        handle.submit(request).unwrap_err()
    };
    let unknown = |error: EngineError| matches!(error, EngineError::Unknown { .. });
    assert!(unknown(refused(|request| request.denoiser = "e".to_string())));
    assert!(unknown(refused(|request| request.outputs.push("middle".to_string()))));
    assert!(unknown(refused(|request| drop(request.states.insert("middle".to_string(), Observed::Noisy)))));
    let contradicts = |error: EngineError| matches!(error, EngineError::Request(_));
    assert!(contradicts(refused(|request| drop(request.states.swap_remove("left")))));
    assert!(contradicts(refused(|request| drop(request.states.insert("left".to_string(), Observed::Absent)))));
    assert!(contradicts(refused(|request| request.states.values_mut().for_each(|seen| *seen = Observed::Absent))));
    let error = refused(|request| {
        request.states.insert("right".to_string(), Observed::Clean(normal(3, &[2, 2])));
    });
    assert!(matches!(error, EngineError::Shape { expected, found, .. } if expected == [2, 2, 2] && found == [3, 2, 2]));
    assert!(matches!(refused(|request| request.sampler = ddim(0)), EngineError::Options(_)));
}

#[test]
fn a_request_without_rows_is_answered() {
    let sampled = run(&mlp_engine(8), vec![joint([], ddim(2))]).remove(0);
    assert_eq!(sampled.streams["right"].size(), [0, 2, 2]);
    assert!(sampled.rows_failed.is_empty());
}

#[test]
fn denoisers_take_turns() {
    let gaussian = || Gaussian { streams: two_streams(), mean: 0.0, std: 1.0 };
    let engine = engine(vec![("d", Box::new(gaussian())), ("e", Box::new(gaussian()))], 8);
    let mut second = joint(0..2, ddim(7));
    second.denoiser = "e".to_string();
    let sampled = run(&engine, vec![joint(0..2, ddim(5)), second]);
    assert_eq!(sampled.len(), 2);
    assert_eq!(engine.handle().stats().steps, 12);
}
