//! The points that a sampler visits.

use anyflow_config::schedule::STEPS;
use anyflow_config::{Sampler, Sampling, Spacing, SpacingEnd, SpacingLaw, SpacingStart, StepLaw, Stride};

use crate::Schedule;
use crate::schedule::{DiscreteChain, Level, shifted};

/// The exponent of Karras et al. 2022, eq. (5).
const RHO: f64 = 7.0;
/// The least signal of a flow that begins at pure noise: the ratio s / a must be finite.
const LEAST_SIGNAL: f64 = 1e-9;

/// A point that a sampler visits: x = a x0 + s eps there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The time that the network is given, in [0, 1].
    pub t: f64,
    /// The factor of the clean value.
    pub a: f64,
    /// The factor of the noise.
    pub s: f64,
}

impl Point {
    /// The noise level of x / a, the variable of Karras et al. 2022.
    pub(super) fn sigma(self) -> f64 {
        self.s / self.a
    }

    /// log(a / s), the variable of Lu et al. 2022; infinite at t = 0.
    pub(super) fn lambda(self) -> f64 {
        (self.a / self.s).ln()
    }

    /// The standard deviation of x here given x at an earlier time `u`: the root of s^2 - (a / a_u)^2 s_u^2. Factored,
    /// since the two terms are close.
    pub(super) fn spread(self, u: Point) -> f64 {
        let kept = self.a / u.a * u.s;
        ((self.s - kept) * (self.s + kept)).max(0.0).sqrt()
    }
}

impl Point {
    fn new(t: f64, Level { a, s }: Level) -> Self {
        Point { t, a, s }
    }

    /// A point at a step of a chain.
    fn at(step: f64, level: Level) -> Self {
        Point::new((step + 1.0) / STEPS as f64, level)
    }
}

/// The points of a sampler on a schedule, noisiest first.
pub(super) struct Points {
    /// Those where the network is evaluated, and the last one, where sampling ends.
    pub all: Vec<Point>,
    /// The end of each update, if it is not the next point.
    pub ends: Option<Vec<Point>>,
    /// The factor of the initial noise.
    pub start_scale: f64,
}

impl Points {
    pub fn new(sampling: &Sampling, schedule: &Schedule) -> Self {
        let chosen = sampling.spacing.as_ref().filter(|spacing| spacing.law != SpacingLaw::Even);
        match (chosen, schedule.chain()) {
            (Some(spacing), Some(chain)) => Points::of_chain(sampling, spacing, chain),
            (Some(_), None) => Points { ends: None, start_scale: 1.0, all: of_flow(sampling, schedule) },
            (None, _) => Points { ends: None, start_scale: schedule.start_scale(), all: even(sampling, schedule) },
        }
    }

    fn of_chain(sampling: &Sampling, spacing: &Spacing, chain: &DiscreteChain) -> Self {
        let count = sampling.steps;
        let cut = count - sampling.updates();
        let visit = Visit { spacing, chain, is_exact: matches!(sampling.sampler, Sampler::Ddim(_) | Sampler::Ddpm(_)) };
        let mut all = match spacing.law {
            SpacingLaw::Karras => visit.curved(count, |sigma| sigma.powf(1.0 / RHO), |root| root.powf(RHO)),
            SpacingLaw::Exponential => visit.curved(count, f64::ln, f64::exp),
            _ => visit.steps(count).into_iter().map(|step| visit.at(step)).collect(),
        };
        all.drain(..cut);
        let last = visit.last();
        let ends = (spacing.stride == Stride::Floor).then(|| {
            let stride = (STEPS / count) as f64;
            let steps = visit.steps(count).into_iter().skip(cut).map(|step| step - stride);
            let mut ends: Vec<Point> = steps.map(|step| if step < 0.0 { last } else { visit.at(step) }).collect();
            // Time 0 marks the end of sampling.
            ends.last_mut().into_iter().for_each(|end| end.t = 0.0);
            ends
        });
        let start_scale = match spacing.start {
            SpacingStart::Unit => 1.0,
            SpacingStart::Noise => all[0].s,
        };
        all.push(last);
        Points { all, ends, start_scale }
    }
}

/// Equal steps of time from the fraction `start_at` of the last time on.
fn even(sampling: &Sampling, schedule: &Schedule) -> Vec<Point> {
    let least = if schedule.shift().is_some() { LEAST_SIGNAL } else { 0.0 };
    let level = |t| Level { a: schedule.signal(t).max(least), s: schedule.noise(t) };
    let times = schedule.times(sampling.steps).into_iter().map(|t| sampling.start_at() * t);
    times.map(|t| Point::new(t, level(t))).collect()
}

/// FlowMatchEulerDiscreteScheduler of diffusers: equal steps between the ends of the shifted flow, shifted again.
fn of_flow(sampling: &Sampling, schedule: &Schedule) -> Vec<Point> {
    let shift = schedule.shift().unwrap_or(1.0);
    let least = shifted(shift, 1.0 / STEPS as f64);
    let time = |share: f64| shifted(shift, 1.0 + share * (least - 1.0));
    let level = |t: f64| Level { a: (1.0 - t).max(LEAST_SIGNAL), s: t };
    let shares = shares(sampling.steps).skip(sampling.steps - sampling.updates());
    let last = Point::new(0.0, Level { a: 1.0, s: 0.0 });
    shares.map(time).map(|t| Point::new(t, level(t))).chain([last]).collect()
}

/// So many numbers from 0 to 1, evenly spaced; one number is 0.
fn shares(count: usize) -> impl Iterator<Item = f64> {
    let parts = count.saturating_sub(1).max(1) as f64;
    (0..count).map(move |index| index as f64 / parts)
}

/// How a chain is visited.
struct Visit<'s> {
    spacing: &'s Spacing,
    chain: &'s DiscreteChain,
    /// True if the ratio s / a may be infinite.
    is_exact: bool,
}

impl Visit<'_> {
    /// The steps of the law, or those that bound the noise: noisiest first, whole unless they are not rounded.
    fn steps(&self, count: usize) -> Vec<f64> {
        let all = count + self.spacing.spare;
        let last = (STEPS - 1) as f64;
        let step = |index: usize| match self.spacing.step_law() {
            Some(StepLaw::Leading) => (index * self.spacing.leading_stride(count) + self.spacing.offset) as f64,
            Some(StepLaw::Trailing) => {
                let taken = (count - 1 - index) as f64 * (STEPS as f64 / count as f64);
                (STEPS as f64 - taken).round_ties_even() - 1.0
            }
            Some(StepLaw::Linspace) if all > 1 && index + 1 == all => last,
            Some(StepLaw::Linspace) => self.rounded(index as f64 * (last / (all.max(2) - 1) as f64)),
            None => {
                if index == 0 {
                    0.0
                } else {
                    last
                }
            }
        };
        let first = if self.spacing.step_law() == Some(StepLaw::Trailing) { 0 } else { self.spacing.spare };
        (first..first + count).rev().map(step).collect()
    }

    fn rounded(&self, step: f64) -> f64 {
        if self.spacing.round { step.round_ties_even() } else { step }
    }

    fn at(&self, step: f64) -> Point {
        let level = match self.is_exact && step.fract() == 0.0 {
            true => self.chain.level(step as usize),
            false => Level::of_sigma(self.chain.sigma(step)),
        };
        Point::at(step, level)
    }

    /// Points whose ratio s / a is evenly spaced after `map`, between those of the first and the last step.
    fn curved(&self, count: usize, map: impl Fn(f64) -> f64, back: impl Fn(f64) -> f64) -> Vec<Point> {
        let bounds = match self.spacing.within {
            None => vec![(STEPS - 1) as f64, 0.0],
            Some(_) => self.steps(count),
        };
        let end = |step: Option<&f64>| map(self.chain.sigma(step.copied().unwrap_or_default()));
        let [most, least] = [end(bounds.first()), end(bounds.last())];
        let sigmas = shares(count).map(|share| back(most + share * (least - most)));
        sigmas.map(|sigma| Point::at(self.rounded(self.chain.step_of(sigma)), Level::of_sigma(sigma))).collect()
    }

    /// The point where sampling ends.
    fn last(&self) -> Point {
        let level = match self.spacing.last {
            SpacingEnd::Zero => Level { a: 1.0, s: 0.0 },
            SpacingEnd::First => self.chain.level(0),
        };
        Point::new(0.0, level)
    }
}
