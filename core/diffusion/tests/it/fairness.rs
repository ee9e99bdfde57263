//! Waiting times in steps, and early exits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyflow_diffusion::{Denoiser, DenoiserInput, Engine, Request, Result, Sampled, StreamSpec};
use crossbeam::channel::{Receiver, Sender, bounded};
use tch::Tensor;

use crate::fakes::{Gaussian, Probe, bits, ddim, engine, joint, stirred_mlp, two_streams, zeros_like_x};

fn tickets(engine: &Engine, requests: Vec<Request>) -> Vec<anyflow_diffusion::Ticket> {
    engine.handle().submit_all(requests).unwrap()
}

#[test]
fn a_small_request_does_not_wait_for_a_large_one() {
    let ((answered, waiting), calls) = (bounded(1), AtomicUsize::new(0));
    let (probe, seen) = Probe::new(&two_streams(), move |batch| {
        // The small request is admitted at once, in half of the first batch; the large one alone takes 1500 steps.
        if calls.fetch_add(1, Ordering::Relaxed) == 3 {
            waiting.recv_timeout(Duration::from_secs(60)).expect("answered after three steps");
        }
        zeros_like_x(batch)
    });
    let engine = engine(vec![("d", Box::new(probe))], 8);
    let mut both = tickets(&engine, vec![joint(0..4000, ddim(3)), joint(4000..4004, ddim(3))]);
    assert_eq!(both.pop().unwrap().wait().unwrap().streams["left"].size(), [4, 3]);
    answered.send(()).unwrap();
    assert_eq!(both.pop().unwrap().wait().unwrap().streams["left"].size(), [4000, 3]);
    assert_eq!(seen.lock().unwrap().rows.iter().sum::<i64>(), 3 * 4004);
}

/// Appends its letter at each call.
struct Letter(Box<dyn Denoiser>, char, Arc<Mutex<String>>);

impl Denoiser for Letter {
    fn streams(&self) -> &[StreamSpec] {
        self.0.streams()
    }

    fn predict(&self, batch: &DenoiserInput) -> Result<Vec<Tensor>> {
        self.2.lock().unwrap().push(self.1);
        self.0.predict(batch)
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        self.0.parameters()
    }
}

#[test]
fn a_wide_batch_does_not_starve_a_narrow_one() {
    let order: Arc<Mutex<String>> = Arc::default();
    let letter = |letter: char| -> Box<dyn Denoiser> {
        let gaussian = Gaussian { streams: two_streams(), mean: 0.0, std: 1.0 };
        Box::new(Letter(Box::new(gaussian), letter, order.clone()))
    };
    let engine = engine(vec![("d", letter('w')), ("e", letter('n'))], 64);
    let mut narrow = joint(0..2, ddim(8));
    narrow.denoiser = "e".to_string();
    for ticket in tickets(&engine, vec![joint(0..64, ddim(4)), narrow]) {
        ticket.wait().unwrap();
    }
    // A call of 64 rows costs four times the minimum: four narrow calls for each.
    assert_eq!(*order.lock().unwrap(), "nnnwnnnnwnww");
}

#[test]
fn a_cancelled_request_leaves_at_the_next_step_and_the_others_keep_their_bits() {
    let rule = |entered: Sender<()>, go: Receiver<()>| {
        let network = Gaussian { streams: two_streams(), mean: 0.3, std: 0.7 };
        move |batch: &DenoiserInput| {
            entered.send(()).unwrap();
            go.recv().unwrap();
            network.predict(batch)
        }
    };
    let sampled = |cancel: bool| -> (Sampled, Vec<i64>) {
        let ((entered, steps), (go, gate)) = (bounded(64), bounded(64));
        let (probe, seen) = Probe::new(&two_streams(), rule(entered, gate));
        let engine = engine(vec![("d", Box::new(probe))], 6);
        // Both are in the batch, and some rows of the second wait outside.
        let mut both = tickets(&engine, vec![joint(0..3, ddim(5)), joint(3..9, ddim(5))]);
        let leaving = both.pop().unwrap();
        steps.recv().unwrap();
        if cancel {
            leaving.cancel();
        } else {
            std::mem::forget(leaving);
        }
        for _ in 0..40 {
            // The receiver is gone once the engine is.
            let _ = go.send(());
        }
        let stays = both.pop().unwrap().wait().unwrap();
        drop(engine);
        let rows = seen.lock().unwrap().rows.clone();
        (stays, rows)
    };
    let ((cancelled, rows), (kept, _)) = (sampled(true), sampled(false));
    assert_eq!(rows, [6, 3, 3, 3, 3]);
    for name in ["left", "right"] {
        assert_eq!(bits(&cancelled.streams[name]), bits(&kept.streams[name]), "{name}");
    }
}

#[test]
fn a_dropped_ticket_frees_the_engine() {
    let engine = engine(vec![("d", stirred_mlp(&two_streams()))], 8);
    drop(tickets(&engine, vec![joint(0..50_000, ddim(1000))]));
    // Millions of row steps are skipped.
    assert!(engine.handle().submit(joint(0..2, ddim(3))).unwrap().wait().is_ok());
    assert!(engine.handle().stats().row_steps < 1_000_000);
}

#[test]
fn a_profile_finds_a_size_and_the_batches_have_it() {
    let (probe, seen) = Probe::new(&two_streams(), |batch| {
        // A call costs the same up to 16 rows; from there each row costs.
        let cost = batch.rows().max(16) as u64;
        std::thread::sleep(std::time::Duration::from_micros(500 * cost));
        zeros_like_x(batch)
    });
    let engine = engine(vec![("d", Box::new(probe))], 4);
    let profile = engine.handle().profile("d", 256).unwrap();
    assert!((16..=64).contains(&profile.cap), "{profile:?}");
    assert!(profile.rates.windows(2).all(|pair| pair[1].0 == 2 * pair[0].0), "{profile:?}");
    let bounded = engine.handle().profile("d", 4).unwrap();
    assert_eq!((bounded.cap, bounded.rates.len()), (4, 3));
    engine.handle().set_max_batch_rows("d", 3).unwrap();
    seen.lock().unwrap().rows.clear();
    tickets(&engine, vec![joint(0..7, ddim(1))]).pop().unwrap().wait().unwrap();
    assert_eq!(seen.lock().unwrap().rows, [3, 3, 1]);
    assert!(engine.handle().profile("e", 4).is_err());
}
