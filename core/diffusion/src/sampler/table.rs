//! Sampler tables: the coefficients of one linear update per step.

use crate::sampler::points::Point;

/// The coefficients of one linear update in f64, over everything that a row remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Update {
    /// Factor of x, the state of the row.
    pub x: f64,
    /// Factor of the saved state, to which multi-evaluation and predictor-corrector samplers return.
    pub saved: f64,
    /// Factor of the denoised value (x0 estimate) of this step.
    pub denoised: f64,
    /// Factors of the denoised values of the last step and the one before it.
    pub previous: [f64; 2],
    /// Factor of fresh standard normal noise.
    pub noise: f64,
}

/// One network evaluation and the update that follows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TableStep {
    /// The point at which the network is evaluated, at a time in (0, 1].
    pub from: Point,
    /// The point of the state after the update, at time 0 after the last one; noisier than `from` if resampling goes back.
    pub to: Point,
    /// The next state.
    pub next: Update,
    /// The new saved state, from the same terms except noise, if any.
    pub save: Option<Update>,
}

impl TableStep {
    /// A step that saves nothing.
    pub(super) fn new(from: Point, to: Point, next: Update) -> Self {
        TableStep { from, to, next, save: None }
    }
}

/// All steps of one sampler on one schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplerTable {
    /// The factor of the initial standard normal noise.
    pub start_scale: f64,
    /// The steps in order, from the schedule's last time down to 0; with resampling, up again in between.
    pub steps: Vec<TableStep>,
}

impl SamplerTable {
    /// The table of a stream that is estimated, not diffused: it starts at 0, where nothing is known, and each step's
    /// estimate is the network's input in the next step.
    pub fn of_estimates(self) -> Self {
        let update = Update { denoised: 1.0, ..Update::default() };
        let step = |step: TableStep| TableStep { next: update, save: None, ..step };
        SamplerTable { start_scale: 0.0, steps: self.steps.into_iter().map(step).collect() }
    }

    /// True if a step uses the saved state or earlier denoised values, so that rows must keep them.
    pub fn uses_history(&self) -> bool {
        self.steps.iter().any(|step| step.next.saved != 0.0 || step.next.previous != [0.0; 2])
    }
}

/// The steps of a memoryless sampler: one evaluation per step, one update from each point to the next.
pub(super) fn one_step(points: &[Point], update: impl Fn(Point, Point) -> Update) -> Vec<TableStep> {
    points.windows(2).map(|pair| TableStep::new(pair[0], pair[1], update(pair[0], pair[1]))).collect()
}
