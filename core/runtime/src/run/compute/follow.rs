//! Diffusions that a client follows: steps, previews, and an early end.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use anyflow_diffusion::{Followed, Request, Sampled, SampledStep};
use anyflow_plan::after;
use anyflow_plan::event::Event;
use anyflow_plan::plan::{Op, RunPlan};
use crossbeam::channel::{Receiver, TryRecvError};

use super::{Compute, MicroBatch};
use crate::events::Events;
use crate::run::decode::DecodeStage;
use crate::run::output_rows::{OutputRows, encoded};
use crate::{Result, RunError};

/// The shortest time between two steps that are told without a preview: telling one costs more than a step of a small
/// network.
const PAUSE: Duration = Duration::from_millis(25);

/// How a client follows its rows.
#[derive(Clone, Copy)]
pub struct Follow<'a> {
    /// Closed when the client is gone: its rows then leave the engine before the next step.
    pub stop: &'a Receiver<Infallible>,
    /// Steps of a sampler from one preview to the next; 0 for no previews.
    pub preview_steps: usize,
}

impl Follow<'_> {
    /// Fails if the client is gone.
    ///
    /// # Errors
    /// [`RunError::Cancelled`].
    pub fn check(&self) -> Result<()> {
        match self.stop.try_recv() {
            Err(TryRecvError::Empty) => Ok(()),
            Err(TryRecvError::Disconnected) => Err(RunError::Cancelled),
        }
    }
}

impl Compute<'_> {
    /// Runs the diffusion of the step `index` and tells the client of it.
    pub(super) fn sample_followed(
        &self,
        batch: &MicroBatch,
        index: usize,
        request: Request,
        follow: &Follow<'_>,
    ) -> Result<Sampled> {
        let node = &self.plan.steps[index].node;
        let shown = after(self.plan, index);
        let every = if shown.is_some() { follow.preview_steps } else { 0 };
        let mut ticket = self.networks.engine().submit_followed(request, every).map_err(RunError::diffusion(node))?;
        let mut told: Option<Instant> = None;
        loop {
            match ticket.follow(follow.stop) {
                Followed::Step(step)
                    if step.predicted.is_empty() && told.is_some_and(|told| told.elapsed() < PAUSE) => {}
                Followed::Step(step) => {
                    told = Some(Instant::now());
                    let (first_row, rows) = (batch.first_row() + step.first_row as u64, step.rows as u64);
                    let (done, steps) = (step.step as u64, step.steps as u64);
                    self.events.step(Event::Step { node: node.clone(), first_row, rows, step: done, steps });
                    if let Some(shown) = shown.as_ref().filter(|_| !step.predicted.is_empty())
                        && let Err(error) = self.preview(batch, index, shown, step)
                    {
                        tracing::warn!(node, "no preview: {error}");
                    }
                }
                Followed::Answer(answer) => return answer.map_err(RunError::diffusion(node)),
                Followed::Stopped => return Err(RunError::Cancelled),
            }
        }
    }

    /// Runs the rest of the pipeline on the predicted x0, and sends the outputs.
    fn preview(&self, batch: &MicroBatch, index: usize, shown: &RunPlan, step: SampledStep) -> Result<()> {
        let made = &self.plan.steps[index];
        let Op::Diffuse { to, .. } = &made.op else { return Ok(()) };
        let rows = step.first_row..step.first_row + step.rows;
        let mut part = MicroBatch::new(batch.numbers[rows.clone()].to_vec(), batch.keys[rows].to_vec(), None);
        for (stream, x0) in step.predicted {
            let latent = self.networks.on_stream(&made.node, &stream, move |net| net.denormalize(&x0))?;
            part.values.insert(to[&stream].clone(), latent);
        }
        let events = Events::muted();
        Compute::start(shown, self.threads, self.networks, self.codecs, &events)?.run(&mut part)?;
        DecodeStage::new(shown, self.threads, self.codecs).decode(&mut part)?;
        let failed: Vec<usize> = part.failures.keys().copied().collect();
        let numbers = part.numbers.iter().enumerate().filter(|(row, _)| !failed.contains(row));
        let rows: Vec<u64> = numbers.map(|(_, number)| *number).collect();
        let outputs = OutputRows::alone(shown)?;
        let (good, _) = outputs.of(part)?;
        let bytes = encoded(&outputs.features, &[good])?;
        let (step, steps) = (step.step as u64, step.steps as u64);
        let event = Event::Preview { node: made.node.clone(), rows, step, steps, bytes: bytes.len() as u64 };
        self.events.rows(&event, &bytes);
        Ok(())
    }
}
