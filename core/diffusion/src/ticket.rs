//! What a submitter holds until its answer comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvError, select};

use crate::{EngineError, Result, Sampled};

/// Never sent: the channel closes when the compute thread ends.
#[derive(Debug)]
pub(crate) enum Alive {}

/// A request that was queued. Dropping it cancels the request: its rows leave the batch before the next step, and those
/// that wait never enter it.
#[derive(Debug)]
#[must_use = "a request whose ticket is dropped is cancelled"]
pub struct Ticket {
    answer: Receiver<Result<Sampled>>,
    life: Receiver<Alive>,
    cancelled: Arc<AtomicBool>,
}

impl Ticket {
    pub(crate) fn new(answer: Receiver<Result<Sampled>>, life: Receiver<Alive>, cancelled: Arc<AtomicBool>) -> Self {
        Ticket { answer, life, cancelled }
    }

    /// Waits for the answer. Not to be called on the compute thread.
    ///
    /// # Errors
    /// The network failed on the batch, or the engine has stopped. A bad row is no error: see
    /// [`Sampled::rows_failed`].
    pub fn wait(self) -> Result<Sampled> {
        received(&self.answer, &self.life)?
    }

    /// Gives the request up.
    pub fn cancel(self) {}
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

/// Waits for an answer, or for the end of the compute thread: what was queued too late to be read stays in the queue,
/// with its reply channel open, as long as there are handles.
pub(crate) fn received<T>(answer: &Receiver<T>, life: &Receiver<Alive>) -> Result<T> {
    let late = select! {
        recv(answer) -> result => result,
        recv(life) -> _ => answer.recv_timeout(Duration::ZERO).map_err(|_| RecvError),
    };
    late.map_err(|_| EngineError::Stopped)
}
