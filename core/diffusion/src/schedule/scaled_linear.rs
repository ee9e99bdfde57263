//! The discrete schedule of Stable Diffusion, made continuous.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The number of discrete steps; published checkpoints were trained with it.
const STEPS: usize = 1000;

/// beta_k = (sqrt(b0) + k / (T - 1) (sqrt(b1) - sqrt(b0)))^2 for k = 0 .. T - 1 with T = 1000: Rombach et al. 2022
/// (latent diffusion models, arXiv 2112.10752), in the discrete chain of Ho et al. 2020, eq. (4).
///
/// Step k of the chain is the time (k + 1) / T; between steps log a is linear in t.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
#[serde(from = "Rates", into = "Rates")]
pub struct ScaledLinear {
    rates: Rates,
    /// log a at the times 0, 1 / T, ..., 1: computed once, since training needs it for every row.
    log_signals: Arc<[f64]>,
}

/// The keys of a configuration.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
struct Rates {
    /// b0, the variance that the first step adds.
    #[serde(default = "default_start")]
    beta_start: f64,
    /// b1, the variance that the last step adds.
    #[serde(default = "default_end")]
    beta_end: f64,
}

fn default_start() -> f64 {
    0.00085
}

fn default_end() -> f64 {
    0.012
}

impl From<Rates> for ScaledLinear {
    fn from(rates: Rates) -> Self {
        let start = rates.beta_start.sqrt();
        let end = rates.beta_end.sqrt();
        let mut sum = 0.0;
        let after = |k: usize| {
            let beta = (start + k as f64 / (STEPS - 1) as f64 * (end - start)).powi(2);
            sum += 0.5 * (-beta).ln_1p();
            sum
        };
        let log_signals = std::iter::once(0.0).chain((0..STEPS).map(after)).collect();
        ScaledLinear { rates, log_signals }
    }
}

impl From<ScaledLinear> for Rates {
    fn from(schedule: ScaledLinear) -> Self {
        schedule.rates
    }
}

impl Default for ScaledLinear {
    fn default() -> Self {
        ScaledLinear::new(default_start(), default_end())
    }
}

impl fmt::Debug for ScaledLinear {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rates.fmt(formatter)
    }
}

impl ScaledLinear {
    /// The schedule between these two rates.
    pub fn new(beta_start: f64, beta_end: f64) -> Self {
        Rates { beta_start, beta_end }.into()
    }

    /// b0 and b1.
    pub(super) fn rates(&self) -> (f64, f64) {
        (self.rates.beta_start, self.rates.beta_end)
    }

    pub(super) fn log_signal(&self, t: f64) -> f64 {
        let cell = cell(t);
        let fraction = t * STEPS as f64 - cell as f64;
        self.log_signals[cell] + fraction * (self.log_signals[cell + 1] - self.log_signals[cell])
    }

    pub(super) fn beta(&self, t: f64) -> f64 {
        let cell = cell(t);
        -2.0 * STEPS as f64 * (self.log_signals[cell + 1] - self.log_signals[cell])
    }
}

/// The cell between two steps that contains t. A step belongs to the cell before it, which sampling crosses next; the
/// tolerance covers the rounding of products like 0.29 * 1000.
fn cell(t: f64) -> usize {
    ((t * STEPS as f64 - 1e-9).ceil() as usize).clamp(1, STEPS) - 1
}
