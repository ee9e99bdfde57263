//! Heun's method: two network evaluations per step, second order.

use crate::sampler::points::Point;
use crate::sampler::table::{TableStep, Update};

/// Karras et al. 2022, algorithm 1, in y = x / a: an Euler step from sigma to sigma_u, then the same step again with the
/// mean of the slopes (y - x0) / sigma at both ends. The last step, to sigma = 0, is Euler's.
pub(super) fn heun(points: &[Point]) -> Vec<TableStep> {
    let mut steps = Vec::with_capacity(2 * points.len());
    for pair in points.windows(2) {
        let from = pair[0];
        let to = pair[1];
        let sigma = from.sigma();
        let next = to.sigma();
        let scale = to.a / from.a;
        let kept = next / sigma;
        let euler = Update { x: scale * kept, denoised: to.a * (1.0 - kept), ..Update::default() };
        if to.s == 0.0 {
            steps.push(TableStep::new(from, to, euler));
            break;
        }
        let save = Some(Update { x: 1.0, ..Update::default() });
        steps.push(TableStep { from, to, next: euler, save });
        // Half the step times the factor 1 / sigma of each slope.
        let first = (next - sigma) / (2.0 * sigma);
        let second = (next - sigma) / (2.0 * next);
        let corrected = Update {
            saved: scale * (1.0 + first),
            previous: [-to.a * first, 0.0],
            x: second,
            denoised: -to.a * second,
            noise: 0.0,
        };
        steps.push(TableStep::new(to, to, corrected));
    }
    steps
}
