//! Samplers that draw from the distribution of x_u given x_t and an estimate of x0: DDPM and DDIM.

use crate::sampler::points::Point;
use crate::sampler::table::{TableStep, Update, one_step};

/// The posterior of Ho et al. 2020 (DDPM), eq. (6) and (7), between any two times: with r = a_t / a_u and
/// v = s_t^2 - r^2 s_u^2 its mean is r s_u^2 / s_t^2 x + a_u v / s_t^2 x0, and its variance v s_u^2 / s_t^2. No noise in
/// the last step: their algorithm 2.
pub(super) fn ddpm(points: &[Point]) -> Vec<TableStep> {
    one_step(points, |from, to| {
        let spread = from.spread(to);
        let share = (to.s / from.s).powi(2);
        let denoised = to.a * (spread / from.s).powi(2);
        Update { x: from.a / to.a * share, denoised, noise: spread * share.sqrt(), ..Update::default() }
    })
}

/// x_u = a_u x0 + sqrt(s_u^2 - sigma^2) eps + sigma xi with eps = (x - a x0) / s and sigma = eta times the standard
/// std of the posterior: Song et al. 2021 (DDIM), eq. (12) and (16).
pub(super) fn ddim(points: &[Point], eta: f64) -> Vec<TableStep> {
    one_step(points, |from, to| {
        let noise = eta * (to.s / from.s) * from.spread(to);
        let x = (to.s * to.s - noise * noise).max(0.0).sqrt() / from.s;
        Update { x, denoised: to.a - from.a * x, noise, ..Update::default() }
    })
}
