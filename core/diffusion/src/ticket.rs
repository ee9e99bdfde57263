//! Tickets: handles on pending answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvError, select};

use crate::{EngineError, Result, Sampled};

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
    pub(crate) fn new(answer: Receiver<Result<Sampled>>, life: Receiver<Alive>, cancel: Cancel) -> Self {
        Ticket { answer, life, cancel, answered: false }
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
