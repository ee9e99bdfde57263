//! Sampler tables: the coefficients of one linear update per step.

use crate::Schedule;

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
    /// The time at which the network is evaluated, in (0, 1].
    pub t: f64,
    /// The time of the state after the update; 0 after the last one. Above `t` if resampling noises it back.
    pub t_next: f64,
    /// The next state.
    pub next: Update,
    /// The new saved state, from the same terms except noise, if any.
    pub save: Option<Update>,
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

/// One time that a sampler visits: x = a x0 + s eps there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub t: f64,
    pub a: f64,
    pub s: f64,
}

impl Point {
    /// The noise level of x / a, the variable of Karras et al. 2022.
    pub fn sigma(self) -> f64 {
        self.s / self.a
    }

    /// log(a / s), the variable of Lu et al. 2022; infinite at t = 0.
    pub fn lambda(self) -> f64 {
        (self.a / self.s).ln()
    }

    /// The standard deviation of x here given x at an earlier time `u`: the root of s^2 - (a / a_u)^2 s_u^2. Factored,
    /// since the two terms are close.
    pub fn spread(self, u: Point) -> f64 {
        let kept = self.a / u.a * u.s;
        ((self.s - kept) * (self.s + kept)).max(0.0).sqrt()
    }
}

/// The `steps` + 1 times that a sampler visits, from the fraction `start_at` of the last time on.
pub(super) fn points(schedule: &Schedule, steps: usize, start_at: f64) -> Vec<Point> {
    let point = |t| Point { t, a: schedule.signal(t), s: schedule.noise(t) };
    schedule.times(steps).into_iter().map(|t| point(start_at * t)).collect()
}

/// The steps of a memoryless sampler: one evaluation per step, one update from each point to the next.
pub(super) fn one_step(points: &[Point], update: impl Fn(Point, Point) -> Update) -> Vec<TableStep> {
    let step =
        |pair: &[Point]| TableStep { t: pair[0].t, t_next: pair[1].t, next: update(pair[0], pair[1]), save: None };
    points.windows(2).map(step).collect()
}
