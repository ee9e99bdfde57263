//! The discrete schedule of Stable Diffusion, made continuous.

use anyflow_config::schedule::ScaledLinear;

use super::Curve;

/// The number of discrete steps; published checkpoints were trained with it.
const STEPS: usize = 1000;

/// beta_k = (sqrt(b0) + k / (T - 1) (sqrt(b1) - sqrt(b0)))^2 for k = 0 .. T - 1 with T = 1000: Rombach et al. 2022
/// (latent diffusion models, arXiv 2112.10752), in the discrete chain of Ho et al. 2020, eq. (4).
///
/// Step k of the chain is the time (k + 1) / T; between steps log a is linear in t.
pub(super) struct Chain {
    /// log a at the times 0, 1 / T, ..., 1: computed once, since training needs it for every row.
    log_signals: Vec<f64>,
}

impl Chain {
    pub(super) fn new(rates: &ScaledLinear) -> Self {
        let start = rates.beta_start.sqrt();
        let end = rates.beta_end.sqrt();
        let mut sum = 0.0;
        let after = |k: usize| {
            let beta = (start + k as f64 / (STEPS - 1) as f64 * (end - start)).powi(2);
            sum += 0.5 * (-beta).ln_1p();
            sum
        };
        Chain { log_signals: std::iter::once(0.0).chain((0..STEPS).map(after)).collect() }
    }
}

impl Curve for Chain {
    fn log_signal(&self, t: f64) -> f64 {
        let cell = cell(t);
        let fraction = t * STEPS as f64 - cell as f64;
        self.log_signals[cell] + fraction * (self.log_signals[cell + 1] - self.log_signals[cell])
    }

    fn beta(&self, t: f64) -> f64 {
        let cell = cell(t);
        -2.0 * STEPS as f64 * (self.log_signals[cell + 1] - self.log_signals[cell])
    }
}

/// The cell between two steps that contains t. A step belongs to the cell before it, which sampling crosses next; the
/// tolerance covers the rounding of products like 0.29 * 1000.
fn cell(t: f64) -> usize {
    ((t * STEPS as f64 - 1e-9).ceil() as usize).clamp(1, STEPS) - 1
}
