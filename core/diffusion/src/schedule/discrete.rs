//! The discrete schedule of published models, between whose steps the noise-to-signal ratio is linear.

use std::f64::consts::FRAC_PI_2;

use anyflow_config::Betas;
use anyflow_config::schedule::{Discrete, STEPS};

use super::Curve;

/// The square of the signal at the last step of a chain that ends without signal, where a ratio is needed: 2^-24, as in
/// diffusers.
const LEAST_SQUARED_SIGNAL: f64 = 1.0 / (1u64 << 24) as f64;
/// The largest rate of `squared-cosine`: Nichol and Dhariwal 2021, section 3.2.
const LARGEST_RATE: f64 = 0.999;
/// Its offset s.
const COSINE_OFFSET: f64 = 0.008;

/// The chain of Ho et al. 2020, eq. (4): a_k^2 is the product of 1 - beta_j up to j = k, for k = 0 .. T - 1.
///
/// Step k is the time (k + 1) / T. sigma = s / a is linear between steps, as diffusers interpolates it, and falls to 0
/// from step 0 to time 0.
#[derive(Debug)]
pub(crate) struct DiscreteChain {
    /// sigma at the times 0, 1 / T, ..., 1.
    sigmas: Vec<f64>,
    has_no_last_signal: bool,
}

/// Signal and noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Level {
    pub a: f64,
    pub s: f64,
}

impl Level {
    /// The level of unit variance with this noise-to-signal ratio.
    pub fn of_sigma(sigma: f64) -> Level {
        let root = sigma.hypot(1.0);
        Level { a: 1.0 / root, s: sigma / root }
    }
}

impl DiscreteChain {
    pub(super) fn new(options: &Discrete) -> Self {
        let mut signals = signals(options);
        if options.zero_snr {
            without_last_signal(&mut signals);
        }
        let sigma = |a: &f64| {
            let squared = (a * a).max(LEAST_SQUARED_SIGNAL);
            ((1.0 - squared) / squared).sqrt()
        };
        let sigmas = std::iter::once(0.0).chain(signals.iter().map(sigma)).collect();
        DiscreteChain { sigmas, has_no_last_signal: options.zero_snr }
    }

    /// sigma at a step from -1 (no noise) to T - 1, linear between whole steps.
    pub fn sigma(&self, step: f64) -> f64 {
        let cell = cell(step);
        let fraction = step + 1.0 - cell as f64;
        self.sigmas[cell] + fraction * (self.sigmas[cell + 1] - self.sigmas[cell])
    }

    /// Signal and noise at a whole step; the last step of a chain without signal there is exactly (0, 1).
    pub fn level(&self, step: usize) -> Level {
        match step + 1 == STEPS && self.has_no_last_signal {
            true => Level { a: 0.0, s: 1.0 },
            false => Level::of_sigma(self.sigmas[step + 1]),
        }
    }

    /// The step at a ratio, linear in log sigma between whole steps and not outside of them.
    pub fn step_of(&self, sigma: f64) -> f64 {
        let chain = &self.sigmas[1..];
        let low = chain.partition_point(|below| *below <= sigma).clamp(1, STEPS - 1) - 1;
        let [below, above] = [chain[low], chain[low + 1]].map(f64::ln);
        low as f64 + ((sigma.ln() - below) / (above - below)).clamp(0.0, 1.0)
    }
}

impl Curve for DiscreteChain {
    fn signal(&self, t: f64) -> f64 {
        Level::of_sigma(self.sigma(step(t))).a
    }

    fn noise(&self, t: f64) -> f64 {
        Level::of_sigma(self.sigma(step(t))).s
    }

    /// -2 d/dt log a, with log a = -log(1 + sigma^2) / 2.
    fn beta(&self, t: f64) -> f64 {
        let cell = cell(step(t));
        let slope = STEPS as f64 * (self.sigmas[cell + 1] - self.sigmas[cell]);
        let sigma = self.sigma(step(t));
        2.0 * sigma * slope / (1.0 + sigma * sigma)
    }

    fn chain(&self) -> Option<&DiscreteChain> {
        Some(self)
    }
}

/// The step at a time.
fn step(t: f64) -> f64 {
    t * STEPS as f64 - 1.0
}

/// The cell of `sigmas` that contains a step. A whole step belongs to the cell below it, which sampling crosses next;
/// the tolerance covers the rounding of products like 0.29 * 1000.
fn cell(step: f64) -> usize {
    ((step + 1.0 - 1e-9).ceil() as usize).clamp(1, STEPS) - 1
}

/// The signal at each step.
fn signals(options: &Discrete) -> Vec<f64> {
    let mut squared = 1.0;
    let after = |k: usize| {
        squared *= 1.0 - rate(options, k);
        f64::sqrt(squared)
    };
    (0..STEPS).map(after).collect()
}

/// beta_k.
fn rate(options: &Discrete, k: usize) -> f64 {
    let [start, end] = [options.beta_start, options.beta_end];
    let share = k as f64 / (STEPS - 1) as f64;
    match options.betas {
        Betas::Linear => start + share * (end - start),
        Betas::ScaledLinear => (start.sqrt() + share * (end.sqrt() - start.sqrt())).powi(2),
        Betas::SquaredCosine => (1.0 - cosine(k + 1) / cosine(k)).min(LARGEST_RATE),
    }
}

/// Nichol and Dhariwal 2021, eq. (17), at k / T.
fn cosine(k: usize) -> f64 {
    let t = k as f64 / STEPS as f64;
    ((t + COSINE_OFFSET) / (1.0 + COSINE_OFFSET) * FRAC_PI_2).cos().powi(2)
}

/// Lin et al. 2023, "Common diffusion noise schedules and sample steps are flawed", algorithm 1: shifts the signal so
/// that the last one is 0, and scales it so that the first one stays.
fn without_last_signal(signals: &mut [f64]) {
    let first = signals[0];
    let last = signals[signals.len() - 1];
    signals.iter_mut().for_each(|a| *a = (*a - last) * first / (first - last));
}
