//! Requests that somebody follows: steps, previews of x0, and the end of the wait.

use std::convert::Infallible;
use std::time::Duration;

use anyflow_diffusion::{Engine, Followed, Observed, Sampled, SampledStep};
use crossbeam::channel::{Receiver, Sender, bounded};
use tch::{Kind, Tensor};

use crate::fakes::{Gaussian, ddim, engine, joint, normal, two_streams, worst, zeros_like_x};

/// f32 values of order one, with coefficients from tables in f64.
const TOLERANCE_F32: f64 = 1e-5;

/// A channel that is open until the sender is dropped.
fn open() -> (Sender<Infallible>, Receiver<Infallible>) {
    bounded(0)
}

/// The steps and the answer of a request that is followed to its end.
fn followed(engine: &Engine, request: anyflow_diffusion::Request, every: usize) -> (Vec<SampledStep>, Sampled) {
    let (_open, stop) = open();
    let mut ticket = engine.handle().submit_followed(request, every).unwrap();
    let mut steps = Vec::new();
    loop {
        match ticket.follow(&stop) {
            Followed::Step(step) => steps.push(step),
            Followed::Answer(answer) => return (steps, answer.unwrap()),
            Followed::Stopped => panic!("nobody stopped it"),
        }
    }
}

/// A denoiser whose prediction of x0 is its constant mean.
fn constant(mean: f64) -> Engine {
    engine(vec![("d", Box::new(Gaussian { streams: two_streams(), mean, std: 0.0 }))], 64)
}

#[test]
fn previews_hold_the_predicted_x0_of_every_output() {
    // Few steps, so that the channel holds all of them.
    let (steps, _) = followed(&constant(0.5), joint(0..3, ddim(6)), 2);
    let told: Vec<(usize, usize)> = steps.iter().map(|step| (step.step, step.steps)).collect();
    assert_eq!(told, (1..=6).map(|step| (step, 6)).collect::<Vec<_>>());
    for step in &steps {
        assert_eq!((step.first_row, step.rows), (0, 3));
        // The answer itself follows the last step.
        let wanted = step.step % 2 == 0 && step.step < 6;
        assert_eq!(step.predicted.len(), if wanted { 2 } else { 0 }, "step {}", step.step);
        for (name, x0) in &step.predicted {
            let expected = Tensor::full_like(x0, 0.5);
            assert!(worst(x0, &expected) < TOLERANCE_F32, "{name} after step {}", step.step);
        }
    }
}

#[test]
fn observed_elements_are_exact_in_a_preview() {
    let value = normal(2, &[2, 2]);
    let mask = Tensor::from_slice(&[1.0f32, 0.0, 0.0, 1.0]).view([1, 2, 2]).repeat([2, 1, 1]);
    let mut request = joint(0..2, ddim(4));
    request.states.insert("right".into(), Observed::Inpaint { value: value.copy(), mask: mask.copy() });
    let (steps, _) = followed(&constant(0.25), request, 2);
    let x0 = &steps.iter().find(|step| step.step == 2).unwrap().predicted["right"];
    let expected = value.where_self(&mask.gt(0.5), &Tensor::full_like(&value, 0.25));
    assert!(worst(x0, &expected.to_kind(Kind::Float)) < TOLERANCE_F32);
}

#[test]
fn following_changes_no_bit() {
    let plain = constant(0.1).handle().submit(joint(0..4, ddim(5))).unwrap().wait().unwrap();
    let (_, seen) = followed(&constant(0.1), joint(0..4, ddim(5)), 1);
    for (name, expected) in &plain.streams {
        assert_eq!(worst(expected, &seen.streams[name]), 0.0, "{name}");
    }
}

#[test]
fn a_closed_channel_ends_the_wait_and_dropping_the_ticket_the_request() {
    // A call that sleeps stands for a slow network.
    let slow = |batch: &anyflow_diffusion::DenoiserInput| {
        std::thread::sleep(Duration::from_millis(5));
        zeros_like_x(batch)
    };
    let (probe, seen) = crate::fakes::Probe::new(&two_streams(), slow);
    let engine = engine(vec![("d", Box::new(probe))], 64);
    let (stop, stopped) = open();
    let mut ticket = engine.handle().submit_followed(joint(0..1, ddim(900)), 0).unwrap();
    assert!(matches!(ticket.follow(&stopped), Followed::Step(step) if step.predicted.is_empty()));
    drop(stop);
    while !matches!(ticket.follow(&stopped), Followed::Stopped) {}
    drop(ticket);
    // Anything that runs between two steps comes after the one that was under way.
    engine.handle().call(|| {}).unwrap();
    let before = seen.lock().unwrap().rows.len();
    engine.handle().call(|| {}).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let after = seen.lock().unwrap().rows.len();
    assert!(after <= before + 1 && after < 900, "{before} {after}");
}
