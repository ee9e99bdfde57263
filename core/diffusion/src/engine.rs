//! The engine as a service: one compute thread behind bounded queues.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvError, Sender, bounded, select};
use indexmap::IndexMap;
use tch::Device;

use crate::batch::{Counters, Lane};
use crate::error::panic_message;
use crate::request::check;
use crate::{Denoiser, EngineError, Request, Result, Sampled, StreamSpec};

/// How the engine runs.
#[derive(Clone, Copy, Debug)]
pub struct EngineConfig {
    /// Where the denoisers' parameters lie and all sampling happens.
    pub device: Device,
    /// Rows per network call at most.
    pub max_batch_rows: usize,
    /// No more requests are taken while this many rows wait outside the batch; submitting then blocks.
    pub max_waiting_rows: usize,
    /// Requests, and calls, that may queue before the sender blocks.
    pub queue: usize,
}

impl EngineConfig {
    /// 256 rows per call, 65536 rows waiting, queues of 64.
    pub fn new(device: Device) -> Self {
        EngineConfig { device, max_batch_rows: 256, max_waiting_rows: 65_536, queue: 64 }
    }
}

/// What the engine has done since its start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EngineStats {
    /// Steps: network calls over a whole batch.
    pub steps: u64,
    /// Rows in those steps, summed.
    pub row_steps: u64,
}

struct Submission {
    request: Request,
    reply: Sender<Result<Sampled>>,
}

type Call = Box<dyn FnOnce() + Send>;

/// Never sent: the channel closes when the compute thread ends.
#[derive(Debug)]
enum Alive {}

/// Owns the compute thread. Dropping it stops the thread after the step or call in progress; requests that are not
/// answered by then fail with [`EngineError::Stopped`].
pub struct Engine {
    handle: EngineHandle,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts the compute thread with these denoisers, whose parameters lie on the configured device and are frozen.
    pub fn start(mut denoisers: IndexMap<String, Box<dyn Denoiser>>, config: EngineConfig) -> Result<Engine> {
        let mut streams = IndexMap::new();
        for (name, denoiser) in &mut denoisers {
            crate::check_streams(denoiser.streams())?;
            denoiser.freeze()?;
            streams.insert(name.clone(), denoiser.streams().to_vec());
        }
        let (submit, submissions) = bounded(config.queue.max(1));
        let (call, calls) = bounded(config.queue.max(1));
        let (counters, stop) = (Arc::new(Counters::default()), Arc::new(AtomicBool::new(false)));
        let lane = |(name, denoiser): (String, _)| {
            (name.clone(), Lane::new(name, denoiser, config.device, config.max_batch_rows, counters.clone()))
        };
        let lanes = denoisers.into_iter().map(lane).collect();
        let (alive, life) = bounded(1);
        let worker = Worker { lanes, submissions, calls, config, stop: stop.clone(), _alive: alive };
        let thread = std::thread::Builder::new().name("anyflow-compute".to_string());
        let thread = thread.spawn(|| worker.run()).map_err(|error| EngineError::Thread(error.to_string()))?;
        let handle = EngineHandle { submit, call, life, streams: Arc::new(streams), counters };
        Ok(Engine { handle, stop, thread: Some(thread) })
    }

    /// A handle to send work with; cheap to clone, may outlive the engine.
    pub fn handle(&self) -> EngineHandle {
        self.handle.clone()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread when it has nothing to do; fails when the thread is gone, which is as well.
        let _ = self.handle.call.send(Box::new(|| {}));
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
    /// The request is wrong, or the engine has stopped.
    pub fn submit(&self, request: Request) -> Result<Ticket> {
        let mut tickets = self.submit_all(vec![request])?;
        tickets.pop().ok_or(EngineError::Stopped)
    }

    /// Queues several requests as one: no step comes between their arrivals. With the same requests in the same order
    /// on an idle engine the batches, and so the bits of the results, are the same.
    ///
    /// # Errors
    /// One of them is wrong, and none is queued; or the engine has stopped.
    pub fn submit_all(&self, requests: Vec<Request>) -> Result<Vec<Ticket>> {
        for request in &requests {
            check(request, self.streams(&request.denoiser)?)?;
        }
        let (mut submissions, mut tickets) = (Vec::new(), Vec::new());
        for request in requests {
            let (reply, answer) = bounded(1);
            submissions.push(Submission { request, reply });
            tickets.push(Ticket { answer, life: self.life.clone() });
        }
        self.submit.send(submissions).map_err(|_| EngineError::Stopped)?;
        Ok(tickets)
    }

    /// Runs a closure on the compute thread, between two steps, and waits for its result. Gradients are recorded as on
    /// any thread; a closure that must not record them takes tch's `no_grad_guard`. It must not wait for this engine.
    ///
    /// # Errors
    /// The closure panicked, or the engine has stopped.
    pub fn call<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (reply, answer) = bounded(1);
        let guarded = move || {
            let result = catch_unwind(AssertUnwindSafe(work)).map_err(|payload| EngineError::Panicked {
                what: "a call".to_string(),
                message: panic_message(payload.as_ref()),
            });
            // The caller waits, unless its thread is gone.
            let _ = reply.send(result);
        };
        self.call.send(Box::new(guarded)).map_err(|_| EngineError::Stopped)?;
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

    /// What has been done so far.
    pub fn stats(&self) -> EngineStats {
        EngineStats {
            steps: self.counters.steps.load(Ordering::Relaxed),
            row_steps: self.counters.row_steps.load(Ordering::Relaxed),
        }
    }
}

/// A request that was queued.
#[derive(Debug)]
pub struct Ticket {
    answer: Receiver<Result<Sampled>>,
    life: Receiver<Alive>,
}

impl Ticket {
    /// Waits for the answer. Not to be called on the compute thread.
    ///
    /// # Errors
    /// The network failed on the batch, or the engine has stopped. A bad row is no error: see
    /// [`Sampled::rows_failed`].
    pub fn wait(self) -> Result<Sampled> {
        received(&self.answer, &self.life)?
    }
}

/// Waits for an answer, or for the end of the compute thread: what was queued too late to be read stays in the queue,
/// with its reply channel open, as long as there are handles.
fn received<T>(answer: &Receiver<T>, life: &Receiver<Alive>) -> Result<T> {
    let late = select! {
        recv(answer) -> result => result,
        recv(life) -> _ => answer.recv_timeout(Duration::ZERO).map_err(|_| RecvError),
    };
    late.map_err(|_| EngineError::Stopped)
}

/// What runs on the compute thread.
struct Worker {
    lanes: IndexMap<String, Lane>,
    submissions: Receiver<Vec<Submission>>,
    calls: Receiver<Call>,
    config: EngineConfig,
    stop: Arc<AtomicBool>,
    /// The last field: it closes when all that could still answer is gone.
    _alive: Sender<Alive>,
}

impl Worker {
    fn run(mut self) {
        // Lanes take turns, one step each.
        let mut turn = 0;
        while !self.stop.load(Ordering::SeqCst) {
            if self.lanes.values().all(Lane::is_idle) && !self.wait() {
                return;
            }
            self.drain();
            if let Some((_, lane)) = self.lanes.get_index_mut(turn) {
                step(lane);
            }
            turn = (turn + 1) % self.lanes.len().max(1);
        }
    }

    /// Blocks until something comes. False when all handles are gone.
    fn wait(&mut self) -> bool {
        select! {
            recv(self.submissions) -> batch => batch.map(|batch| self.take(batch)).is_ok(),
            recv(self.calls) -> call => call.map(|call| call()).is_ok(),
        }
    }

    /// Takes what has come meanwhile, but no more requests than may wait.
    fn drain(&mut self) {
        for _ in 0..self.config.queue.max(1) {
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let Ok(call) = self.calls.try_recv() else { break };
            call();
        }
        while self.lanes.values().map(Lane::waiting_rows).sum::<usize>() < self.config.max_waiting_rows {
            let Ok(batch) = self.submissions.try_recv() else { break };
            self.take(batch);
        }
    }

    fn take(&mut self, submissions: Vec<Submission>) {
        for Submission { request, reply } in submissions {
            if let Some(lane) = self.lanes.get_mut(&request.denoiser) {
                lane.submit(request, reply);
            }
        }
    }
}

/// One step of a lane; whatever goes wrong is told to the requests in its batch.
fn step(lane: &mut Lane) {
    if lane.is_idle() {
        return;
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let _no_grad = tch::no_grad_guard();
        lane.step()
    }));
    let failure = match outcome {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error,
        Err(payload) => EngineError::Panicked {
            what: format!("denoiser {:?}", lane.name()),
            message: panic_message(payload.as_ref()),
        },
    };
    lane.fail_batch(&failure);
}
