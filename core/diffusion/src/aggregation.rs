//! The weight that a companion's encoding has in the marginal of a stream, over time.

use serde::{Deserialize, Serialize};

use crate::Schedule;

/// gamma(t) in z_t = a z_0 + gamma E(x) + s eps: Chen et al. 2024, "Diffusion models for multi-task generative modeling",
/// whose chain z_t = sqrt(alpha_t) (z_{t-1} + w_t E(x)) + sqrt(1 - alpha_t) eps has this marginal with
/// w_t = gamma_t / sqrt(alpha_t) - gamma_{t-1}, gamma_0 = 0. The paper does not say which weights it takes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Law {
    /// gamma = w a: all of it is added in the first step, and what is diffused is z_0 + w E(x).
    #[default]
    Start,
    /// The same amount in every step, w in all: gamma = w a integral_0^t du / a(u). It is still there at the last time.
    Drip,
    /// gamma = 2 w a s: in the middle of the process, nothing at its ends.
    Bump,
}

/// Pieces of the integral in [`Law::Drip`].
const PIECES: usize = 256;

impl Law {
    /// gamma(t), for w = `weight`; of times above 0.
    pub fn gamma(self, weight: f64, schedule: &Schedule, t: f64) -> f64 {
        let a = schedule.signal(t);
        match self {
            Law::Start => weight * a,
            Law::Drip => weight * a * inverse_signal(schedule, t),
            Law::Bump => 2.0 * weight * a * schedule.noise(t),
        }
    }
}

/// integral_0^t du / a(u), by Simpson's rule.
fn inverse_signal(schedule: &Schedule, t: f64) -> f64 {
    let width = t / PIECES as f64;
    let at = |half: usize| schedule.signal(width * half as f64 / 2.0).recip();
    let piece = |index: usize| at(2 * index) + 4.0 * at(2 * index + 1) + at(2 * index + 2);
    (0..PIECES).map(piece).sum::<f64>() * width / 6.0
}
