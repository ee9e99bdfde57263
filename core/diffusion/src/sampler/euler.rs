//! First-order steps along the probability-flow equation and the reverse stochastic equation.

use crate::Schedule;
use crate::sampler::points::Point;
use crate::sampler::table::{TableStep, Update, one_step};

/// Euler's method on dy/dsigma = (y - x0) / sigma with y = x / a, then fresh noise: Karras et al. 2022, algorithm 1
/// without its second-order part. Of the level sigma_u, the part up = eta sigma_u sqrt(1 - sigma_u^2 / sigma^2) is fresh
/// and the step goes down to sqrt(sigma_u^2 - up^2), which is ancestral sampling for eta = 1 (Song et al. 2021, SDE,
/// appendix F). In exact arithmetic this is DDIM where variance is preserved.
pub(super) fn euler(points: &[Point], eta: f64) -> Vec<TableStep> {
    one_step(points, |from, to| {
        let sigma = from.sigma();
        let next = to.sigma();
        let up = eta * next * (1.0 - (next / sigma).powi(2)).max(0.0).sqrt();
        let down = (next * next - up * up).max(0.0).sqrt();
        let kept = down / sigma;
        Update { x: to.a / from.a * kept, denoised: to.a * (1.0 - kept), noise: to.a * up, ..Update::default() }
    })
}

/// x <- x + dt (beta/2 x + g^2 score) + g sqrt(dt) xi with score = -(x - a x0) / s^2: the reverse of
/// dx = -beta/2 x dt + g dW, Song et al. 2021 (SDE), eq. (6). No noise in the last step.
pub(super) fn euler_maruyama(points: &[Point], schedule: &Schedule) -> Vec<TableStep> {
    one_step(points, |from, to| {
        let dt = from.t - to.t;
        let drift = schedule.beta(from.t) * dt;
        let diffusion = schedule.diffusion(from.t) * dt;
        let pull = diffusion / (from.s * from.s);
        let noise = if to.t > 0.0 { diffusion.sqrt() } else { 0.0 };
        Update { x: 1.0 + drift / 2.0 - pull, denoised: pull * from.a, noise, ..Update::default() }
    })
}
