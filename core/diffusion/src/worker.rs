//! The compute thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::channel::{Receiver, Sender, select};
use indexmap::IndexMap;

use crate::deficit_round_robin::DeficitRoundRobin;
use crate::error::panic_message;
use crate::job::Reply;
use crate::lane::Lane;
use crate::ticket::Alive;
use crate::{EngineConfig, EngineError, InferenceMode, Request};

/// A lane per denoiser.
pub(crate) type Lanes = IndexMap<String, Lane>;

/// A closure to run between two steps.
pub(crate) type Call = Box<dyn FnOnce(&mut Lanes) + Send>;

/// A request and the channel for its answer.
pub(crate) struct Submission {
    pub request: Request,
    pub reply: Reply,
}

/// Takes submissions and calls, and steps the lanes that have work in turn.
pub(crate) struct Worker {
    lanes: Lanes,
    /// The lanes with work, by index. A step is charged by its rows, so that a wide batch does not starve a narrow one.
    turns: DeficitRoundRobin<usize>,
    submissions: Receiver<Vec<Submission>>,
    calls: Receiver<Call>,
    config: EngineConfig,
    stop: Arc<AtomicBool>,
    /// The last field: dropped after everything that could still answer.
    _alive: Sender<Alive>,
}

impl Worker {
    pub fn new(
        lanes: Lanes,
        submissions: Receiver<Vec<Submission>>,
        calls: Receiver<Call>,
        config: EngineConfig,
        stop: Arc<AtomicBool>,
        alive: Sender<Alive>,
    ) -> Self {
        Worker { lanes, turns: DeficitRoundRobin::default(), submissions, calls, config, stop, _alive: alive }
    }

    /// Runs until the engine stops or all handles are gone.
    pub fn run(mut self) {
        while !self.stop.load(Ordering::SeqCst) {
            if self.lanes.values().all(Lane::is_idle) && !self.wait() {
                return;
            }
            self.drain();
            let lanes = &self.lanes;
            let Some(turn) = self.turns.next(|index| lanes[index].cost()) else { continue };
            let lane = &mut self.lanes[turn];
            let cost = lane.cost();
            step(lane);
            self.turns.charge(cost);
            if lane.is_idle() {
                self.turns.leave(turn);
            }
        }
    }

    /// Blocks until something arrives. Returns false when all handles are gone.
    fn wait(&mut self) -> bool {
        select! {
            recv(self.submissions) -> batch => batch.map(|batch| self.take(batch)).is_ok(),
            recv(self.calls) -> call => call.map(|call| call(&mut self.lanes)).is_ok(),
        }
    }

    /// Takes what has arrived, but no more requests than may wait.
    fn drain(&mut self) {
        for _ in 0..self.config.queue.max(1) {
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let Ok(call) = self.calls.try_recv() else { break };
            call(&mut self.lanes);
        }
        while self.lanes.values().map(Lane::waiting_rows).sum::<usize>() < self.config.max_waiting_rows {
            let Ok(batch) = self.submissions.try_recv() else { break };
            self.take(batch);
        }
    }

    fn take(&mut self, submissions: Vec<Submission>) {
        for Submission { request, reply } in submissions {
            if let Some((index, _, lane)) = self.lanes.get_full_mut(&request.denoiser) {
                let was_idle = lane.is_idle();
                lane.submit(request, reply);
                if was_idle && !lane.is_idle() {
                    self.turns.join(index);
                }
            }
        }
    }
}

/// Advances a lane by one step. A failure is reported to the requests in its batch.
fn step(lane: &mut Lane) {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let _inference = InferenceMode::enter().map_err(EngineError::from)?;
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
