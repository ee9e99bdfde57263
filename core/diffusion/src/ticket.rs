//! Tickets: handles on pending answers.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvError, never, select};

use crate::{EngineError, Followed, Result, Sampled, SampledStep};

/// Never sent: the channel closes when the compute thread ends.
#[derive(Debug)]
pub(crate) enum Alive {}

/// A queued request. Dropping it cancels the request: its rows leave the batch before the next step, and waiting rows
/// never enter it.
#[derive(Debug)]
#[must_use = "a request whose ticket is dropped is cancelled"]
pub struct Ticket {
    answer: Receiver<Result<Sampled>>,
    life: Receiver<Alive>,
    /// The steps of a followed request; closed for others.
    steps: Receiver<SampledStep>,
    cancel: Cancel,
    answered: bool,
}

/// Signals the compute thread that nobody waits.
#[derive(Clone, Debug)]
pub(crate) struct Cancel {
    /// Set when this request is cancelled.
    pub request: Arc<AtomicBool>,
    /// The number of cancelled requests, so that a lane searches its jobs only if it changed.
    pub requests: Arc<AtomicU64>,
}

impl Ticket {
    pub(crate) fn new(
        answer: Receiver<Result<Sampled>>,
        life: Receiver<Alive>,
        steps: Receiver<SampledStep>,
        cancel: Cancel,
    ) -> Self {
        Ticket { answer, life, steps, cancel, answered: false }
    }

    /// Waits for a step of a [followed](crate::EngineHandle::submit_followed) request, for its answer, or until `stop` is
    /// closed. Steps that come faster than they are taken are dropped. Must not be called on the compute thread.
    pub fn follow(&mut self, stop: &Receiver<Infallible>) -> Followed {
        loop {
            // A step that waits comes before the answer.
            if let Ok(step) = self.steps.try_recv() {
                return Followed::Step(step);
            }
            let answer = select! {
                recv(self.answer) -> answer => answer,
                recv(self.life) -> _ => self.answer.recv_timeout(Duration::ZERO).map_err(|_| RecvError),
                recv(self.steps) -> step => match step {
                    Ok(step) => return Followed::Step(step),
                    Err(RecvError) => {
                        // All steps are told; the answer comes.
                        self.steps = never();
                        continue;
                    }
                },
                recv(stop) -> _ => return Followed::Stopped,
            };
            self.answered = true;
            return Followed::Answer(answer.map_err(|_| EngineError::Stopped).flatten());
        }
    }

    /// Waits for the answer. Must not be called on the compute thread.
    ///
    /// # Errors
    /// The network failed on the batch, or the engine has stopped. A bad row is not an error: see
    /// [`Sampled::rows_failed`].
    pub fn wait(mut self) -> Result<Sampled> {
        let answer = received(&self.answer, &self.life);
        self.answered = true;
        answer?
    }

    /// Cancels the request, as dropping the ticket does.
    pub fn cancel(self) {}
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.answered {
            self.cancel.request.store(true, Ordering::Relaxed);
            self.cancel.requests.fetch_add(1, Ordering::Release);
        }
    }
}

/// Waits for an answer, or for the end of the compute thread: a request that was queued too late stays in the queue,
/// with its reply channel open, for as long as there are handles.
pub(crate) fn received<T>(answer: &Receiver<T>, life: &Receiver<Alive>) -> Result<T> {
    let late = select! {
        recv(answer) -> result => result,
        recv(life) -> _ => answer.recv_timeout(Duration::ZERO).map_err(|_| RecvError),
    };
    late.map_err(|_| EngineError::Stopped)
}
