//! The weight of an auxiliary stream's embedding in the marginal of a diffused stream, over time.

use serde::{Deserialize, Serialize};

use crate::Schedule;

/// gamma(t) in z_t = a z_0 + gamma E(x) + s eps: Chen et al. 2024, "Diffusion models for multi-task generative
/// modeling". Their chain z_t = sqrt(alpha_t) (z_{t-1} + w_t E(x)) + sqrt(1 - alpha_t) eps has this marginal with w_t =
/// gamma_t / sqrt(alpha_t) - gamma_{t-1}, gamma_0 = 0. The paper does not state its weights.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AggregationSchedule {
    /// gamma = w a: everything is added in the first step, so the diffused variable is z_0 + w E(x).
    #[default]
    Start,
    /// gamma = 2 w a s: in the middle of the process, and nothing at its ends.
    Bump,
}

impl AggregationSchedule {
    /// gamma(t) for w = `weight` and t > 0.
    pub fn gamma(self, weight: f64, schedule: &Schedule, t: f64) -> f64 {
        let a = schedule.signal(t);
        match self {
            AggregationSchedule::Start => weight * a,
            AggregationSchedule::Bump => 2.0 * weight * a * schedule.noise(t),
        }
    }
}
