//! The engine as a service: one compute thread behind bounded queues.

mod config;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, bounded};
use indexmap::IndexMap;

use crate::error::panic_message;
use crate::follow::{Follower, STEPS_WAITING};
use crate::job::Reply;
use crate::lane::{Counters, Lane};
use crate::request::check;
use crate::ticket::{Alive, Cancel, received};
use crate::worker::{Call, Lanes, Submission, Worker};
use crate::{Denoiser, EngineError, Profile, Request, Result, StreamSpec, Ticket};

pub use config::EngineConfig;

/// Counters since the engine's start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EngineStats {
    /// Steps: network calls over a whole batch.
    pub steps: u64,
    /// The sum of the rows of these steps, guidance branches included.
    pub row_steps: u64,
}

/// Owns the compute thread. Dropping it stops the thread after the current step or call; unanswered requests then fail
/// with [`EngineError::Stopped`].
pub struct Engine {
    handle: EngineHandle,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts the compute thread with these denoisers and freezes them. Their parameters must be on the configured
    /// device.
    pub fn start(mut denoisers: IndexMap<String, Box<dyn Denoiser>>, config: EngineConfig) -> Result<Engine> {
        let mut streams = IndexMap::new();
        for (name, denoiser) in &mut denoisers {
            crate::check_streams(denoiser.streams())?;
            denoiser.freeze()?;
            streams.insert(name.clone(), denoiser.streams().to_vec());
        }
        let (submit, submissions) = bounded(config.queue.max(1));
        let (call, calls) = bounded(config.queue.max(1));
        let counters = Arc::new(Counters::default());
        let stop = Arc::new(AtomicBool::new(false));
        let lane = |(name, denoiser): (String, _)| {
            (name.clone(), Lane::new(name, denoiser, config.device, config.max_batch_rows, counters.clone()))
        };
        let lanes = denoisers.into_iter().map(lane).collect();
        let (alive, life) = bounded(1);
        let worker = Worker::new(lanes, submissions, calls, config, stop.clone(), alive);
        let thread = std::thread::Builder::new().name("anyflow-compute".to_string());
        let thread = thread.spawn(|| worker.run()).map_err(|error| EngineError::Thread(error.to_string()))?;
        let handle = EngineHandle { submit, call, life, streams: Arc::new(streams), counters };
        Ok(Engine { handle, stop, thread: Some(thread) })
    }

    /// A handle to submit work. It is cheap to clone and may outlive the engine.
    pub fn handle(&self) -> EngineHandle {
        self.handle.clone()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes an idle thread. Sending fails if the thread has ended, which is fine.
        let _ = self.handle.call.send(Box::new(|_| {}));
        if let Some(thread) = self.thread.take() {
            // On the compute thread itself there is nothing to wait for.
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                tracing::error!("the compute thread ended by a panic");
            }
        }
    }
}

/// Sends work to the compute thread.
#[derive(Clone)]
pub struct EngineHandle {
    submit: Sender<Vec<Submission>>,
    call: Sender<Call>,
    life: Receiver<Alive>,
    streams: Arc<IndexMap<String, Vec<StreamSpec>>>,
    counters: Arc<Counters>,
}

impl EngineHandle {
    /// Queues one request; blocks while the queue is full.
    ///
    /// # Errors
    /// The request is invalid, or the engine has stopped.
    pub fn submit(&self, request: Request) -> Result<Ticket> {
        let mut tickets = self.submit_all(vec![request])?;
        tickets.pop().ok_or(EngineError::Stopped)
    }

    /// Queues one request whose ticket hears of each step, and of the predicted x0 every `every` steps; 0 for never.
    ///
    /// # Errors
    /// As [`EngineHandle::submit`].
    pub fn submit_followed(&self, request: Request, every: usize) -> Result<Ticket> {
        let mut tickets = self.queue(vec![request], Some(every))?;
        tickets.pop().ok_or(EngineError::Stopped)
    }

    /// Queues several requests as one: no step runs between their arrivals. The same requests in the same order on an
    /// idle engine give the same batches, and so the same bits.
    ///
    /// # Errors
    /// One of them is invalid, and then none is queued; or the engine has stopped.
    pub fn submit_all(&self, requests: Vec<Request>) -> Result<Vec<Ticket>> {
        self.queue(requests, None)
    }

    /// Queues requests as one. `every` is `None` if nobody follows them.
    fn queue(&self, requests: Vec<Request>, every: Option<usize>) -> Result<Vec<Ticket>> {
        for request in &requests {
            check(request, self.streams(&request.denoiser)?)?;
        }
        let mut submissions = Vec::new();
        let mut tickets = Vec::new();
        for request in requests {
            let (reply, answer) = bounded(1);
            let cancel = Cancel { request: Arc::default(), requests: self.counters.cancelled.clone() };
            let (to, steps) = bounded(STEPS_WAITING);
            let follower = every.map(|every| Follower { every, to });
            let reply = Reply { to: reply, cancelled: cancel.request.clone(), follower };
            submissions.push(Submission { request, reply });
            tickets.push(Ticket::new(answer, self.life.clone(), steps, cancel));
        }
        self.submit.send(submissions).map_err(|_| EngineError::Stopped)?;
        Ok(tickets)
    }

    /// Runs a closure on the compute thread between two steps, and waits for its result. Gradients are recorded as on
    /// any thread; use tch's `no_grad_guard` to avoid that. The closure must not wait for this engine.
    ///
    /// # Errors
    /// The closure panicked, or the engine has stopped.
    pub fn call<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        self.call_lanes(|_| work())
    }

    /// Measures the denoiser with 1, 2, 4 ... synthetic rows per call while more rows give 5 % more throughput, up to
    /// `most_rows` and for about a second. Its batches then have the best size found. Requests wait meanwhile.
    ///
    /// # Errors
    /// The denoiser does not exist or fails on a single row, or the engine has stopped.
    pub fn profile(&self, denoiser: &str, most_rows: usize) -> Result<Profile> {
        let name = self.known(denoiser)?;
        self.call_lanes(move |lanes| {
            let _no_grad = tch::no_grad_guard();
            lanes.get_mut(&name).map_or(Err(EngineError::Stopped), |lane| lane.profile(most_rows))
        })?
    }

    /// Sets the maximum rows of the denoiser's network calls, from its next step on.
    ///
    /// # Errors
    /// The denoiser does not exist, or the engine has stopped.
    pub fn set_max_batch_rows(&self, denoiser: &str, rows: usize) -> Result<()> {
        let name = self.known(denoiser)?;
        self.call_lanes(move |lanes| lanes.get_mut(&name).into_iter().for_each(|lane| lane.set_cap(rows)))
    }

    /// The maximum rows of the denoiser's network calls.
    ///
    /// # Errors
    /// The denoiser does not exist, or the engine has stopped.
    pub fn max_batch_rows(&self, denoiser: &str) -> Result<usize> {
        let name = self.known(denoiser)?;
        self.call_lanes(move |lanes| lanes.get(&name).map_or(1, Lane::cap))
    }

    fn known(&self, denoiser: &str) -> Result<String> {
        self.streams(denoiser).map(|_| denoiser.to_string())
    }

    fn call_lanes<T: Send + 'static>(&self, work: impl FnOnce(&mut Lanes) -> T + Send + 'static) -> Result<T> {
        let (reply, answer) = bounded(1);
        let guarded: Call = Box::new(move |lanes| {
            let result = catch_unwind(AssertUnwindSafe(|| work(lanes))).map_err(|payload| EngineError::Panicked {
                what: "a call".to_string(),
                message: panic_message(payload.as_ref()),
            });
            // The caller waits, unless its thread has ended.
            let _ = reply.send(result);
        });
        self.call.send(guarded).map_err(|_| EngineError::Stopped)?;
        received(&answer, &self.life)?
    }

    /// The streams of a denoiser.
    pub fn streams(&self, denoiser: &str) -> Result<&[StreamSpec]> {
        self.streams.get(denoiser).map(Vec::as_slice).ok_or_else(|| EngineError::Unknown {
            what: "denoiser",
            name: denoiser.to_string(),
            known: self.streams.keys().cloned().collect(),
        })
    }

    /// The counters so far.
    pub fn stats(&self) -> EngineStats {
        EngineStats {
            steps: self.counters.steps.load(Ordering::Relaxed),
            row_steps: self.counters.row_steps.load(Ordering::Relaxed),
        }
    }
}
