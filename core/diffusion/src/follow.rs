//! Follows a request step by step while it is sampled.

use crossbeam::channel::Sender;
use indexmap::IndexMap;
use tch::Tensor;

use crate::Result;

/// Steps that wait for a follower before further ones are dropped: a slow follower never slows the engine.
pub(crate) const STEPS_WAITING: usize = 8;

/// A step of rows of a request.
#[derive(Debug)]
pub struct SampledStep {
    /// The first of these rows, by index in the request.
    pub first_row: usize,
    /// The number of rows.
    pub rows: usize,
    /// The number of network calls that they have had.
    pub step: usize,
    /// The number of network calls in all.
    pub steps: usize,
    /// The predicted x0 of each generated output, `[row, shape]`, f32 on the engine's device; empty between two previews.
    /// Observed elements have their exact value.
    pub predicted: IndexMap<String, Tensor>,
}

/// What a ticket hears of its request.
#[derive(Debug)]
pub enum Followed {
    /// Rows have had a network call.
    Step(SampledStep),
    /// The answer, as [`Ticket::wait`](crate::Ticket::wait) returns it. This is the last.
    Answer(Result<crate::Sampled>),
    /// The caller's channel is closed.
    Stopped,
}

/// Sends the steps of a job.
pub(crate) struct Follower {
    /// The number of steps from one preview to the next; 0 for none.
    pub every: usize,
    pub to: Sender<SampledStep>,
}

impl Follower {
    /// True if x0 is wanted after this many steps. After the last one the answer follows.
    pub fn wants_preview(&self, step: usize, steps: usize) -> bool {
        self.every > 0 && step.is_multiple_of(self.every) && step < steps
    }

    /// Sends a step, unless the follower is late.
    pub fn tell(&self, step: SampledStep) {
        let _ = self.to.try_send(step);
    }
}
