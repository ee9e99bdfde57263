//! Multistep solvers in lambda = log(a / s): DPM-Solver++ and UniPC. One network evaluation per step.

use crate::sampler::points::Point;
use crate::sampler::table::{TableStep, Update};
use crate::sampler::weights::{constant, linear, quadratic};

/// The position of `other` relative to `from`, in units of the step `h`.
fn node(from: Point, other: Point, h: f64) -> f64 {
    (other.lambda() - from.lambda()) / h
}

/// The order of step `index`: lower while there are too few earlier values, and again at the end, where x0 is not
/// smooth in lambda; the last step, to lambda = infinity, returns the denoised value. Lu et al. 2023, section 6.
fn order_of(index: usize, steps: usize, order: usize) -> usize {
    order.min(index + 1).min(steps - index)
}

/// The steps from which on DPM-Solver++ keeps its order until the end if some noise is left there, as in diffusers.
const MANY_STEPS: usize = 15;

/// The update from `points[index]` to the next point, from the denoised values there and at the points before.
fn ahead(points: &[Point], index: usize, order: usize) -> Update {
    let from = points[index];
    let to = points[index + 1];
    let h = to.lambda() - from.lambda();
    let [denoised, last, before] = match order {
        1 => [constant(to.a, h), 0.0, 0.0],
        2 => {
            let [w0, w1] = linear(to.a, h, node(from, points[index - 1], h));
            [w0, w1, 0.0]
        }
        _ => quadratic(to.a, h, [1, 2].map(|back| node(from, points[index - back], h))),
    };
    Update { x: to.s / from.s, denoised, previous: [last, before], ..Update::default() }
}

/// DPM-Solver++ of order 2 or 3: Lu et al. 2022/2023, "DPM-Solver++", algorithm 2 and its extension to order 3. There
/// the parabola is integrated exactly; the authors' code halves its last term, which reduces it to order 2.
pub(super) fn dpmpp(points: &[Point], order: usize) -> Vec<TableStep> {
    let steps = points.len() - 1;
    let keeps_order = points[steps].s > 0.0 && steps >= MANY_STEPS;
    let step = |index: usize| {
        let order = if keeps_order { order.min(index + 1) } else { order_of(index, steps, order) };
        let next = ahead(points, index, order);
        TableStep::new(points[index], points[index + 1], next)
    };
    (0..steps).map(step).collect()
}

/// The corrector: computes the state at `points[index]` again from the state saved one point before, with the denoised
/// value that is known at `points[index]`.
fn corrected(points: &[Point], index: usize, order: usize) -> Update {
    if index == 0 {
        return Update { x: 1.0, ..Update::default() };
    }
    let from = points[index - 1];
    let to = points[index];
    let h = to.lambda() - from.lambda();
    let [last, before, denoised] = match order {
        1 => {
            let [w0, w1] = linear(to.a, h, 1.0);
            [w0, 0.0, w1]
        }
        _ => quadratic(to.a, h, [node(from, points[index - 2], h), 1.0]),
    };
    Update { saved: to.s / from.s, denoised, previous: [last, before], ..Update::default() }
}

/// UniPC of order 2 with B_2(h): Zhao et al. 2023, "UniPC", algorithms 1 and 2 for predicted data. x is the predicted
/// state, at which the network is evaluated; the saved state is the corrected one. The evaluation serves both the
/// corrector at its point and the predictor from there, so there is one per step.
pub(super) fn unipc(points: &[Point]) -> Vec<TableStep> {
    let steps = points.len() - 1;
    let step = |index: usize| {
        let order = order_of(index, steps, 2);
        let save = corrected(points, index, index.min(2));
        let ahead = ahead(points, index, order);
        let next = Update {
            x: ahead.x * save.x,
            saved: ahead.x * save.saved,
            denoised: ahead.x * save.denoised + ahead.denoised,
            previous: [0, 1].map(|back| ahead.x * save.previous[back] + ahead.previous[back]),
            noise: 0.0,
        };
        TableStep { from: points[index], to: points[index + 1], next, save: Some(save) }
    };
    (0..steps).map(step).collect()
}
