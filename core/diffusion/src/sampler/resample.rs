//! RePaint's resampling, which repeatedly noises the state back and samples down again.

use std::collections::BTreeMap;

use anyflow_config::{Resample, Sampler};

use crate::sampler::points::Point;
use crate::sampler::{evaluations_per_step, walk};
use crate::{Schedule, TableStep};

/// The number of jumps that start at each number of remaining steps, from 0 to `steps`: Lugmayr et al. 2022, "RePaint",
/// algorithm 1, by the schedule of their appendix. Jumps start 1, 1 + `jump`, 1 + 2 `jump` ... steps before the end, as long
/// as there are `jump` steps to go back.
pub(super) fn jumps(resample: &Resample, steps: usize) -> Vec<usize> {
    let mut jumps = vec![0; steps + 1];
    for left in (1..=steps.saturating_sub(resample.jump)).step_by(resample.jump) {
        jumps[left] = resample.times - 1;
    }
    jumps
}

/// Walks down, and after each jump walks down again from there with nothing remembered.
pub(super) fn resampled(
    sampler: &Sampler,
    schedule: &Schedule,
    points: &[Point],
    resample: &Resample,
) -> Vec<TableStep> {
    let last = points.len() - 1;
    let mut jumps = jumps(resample, last);
    // The steps from each point where a walk starts; there are far fewer points than walks.
    let mut walks = BTreeMap::new();
    let mut steps = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while at < last {
        let walk = walks.entry(start).or_insert_with(|| walk(sampler, schedule, &points[start..]));
        let step = walk.chunks(evaluations_per_step(sampler)).nth(at - start);
        steps.extend(step.into_iter().flatten().copied());
        at += 1;
        if jumps[last - at] > 0 {
            jumps[last - at] -= 1;
            start = at - resample.jump;
            if let Some(step) = steps.last_mut() {
                noise_back(step, points[at], points[start]);
            }
            at = start;
        }
    }
    steps
}

/// Applies the forward process from u back to t, x_t = (a_t / a_u) x_u + spread eps, to the update that ends at u. The
/// two noises are independent, so their variances add.
fn noise_back(step: &mut TableStep, u: Point, t: Point) {
    let kept = t.a / u.a;
    let next = &mut step.next;
    for coefficient in [&mut next.x, &mut next.saved, &mut next.denoised].into_iter().chain(&mut next.previous) {
        *coefficient *= kept;
    }
    next.noise = (kept * next.noise).hypot(t.spread(u));
    step.to = t;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Solver;
    use anyflow_config::sampler::{Ddim, Ddpm, Dpmpp2m, Dpmpp3m, EulerAncestral, Heun, Unipc};
    use anyflow_config::{Kinds, Sampling};

    fn resampling(sampler: Sampling, jump: usize, times: usize) -> Sampling {
        Sampling { resample: Some(Resample { jump, times }), ..sampler }
    }

    /// The counts of the authors' schedule of jumps for 250 points, jump length 10 and 10 samples each.
    #[test]
    fn steps_are_as_many_as_in_repaint() {
        let sampling = resampling(Sampling::new(Ddpm {}, 250), 10, 10);
        sampling.check().unwrap();
        let table = sampling.table(&Schedule::vp_linear());
        assert_eq!((table.steps.len(), sampling.evaluations()), (2410, 2410));
        let jumps = table.steps.iter().filter(|step| step.to.t > step.from.t).count();
        assert_eq!(jumps * 10, 2160);
        let last = table.steps[2409];
        assert_eq!((last.to.t, last.next.noise), (0.0, 0.0));
        assert!(table.steps.windows(2).all(|pair| pair[0].to.t == pair[1].from.t));
    }

    #[test]
    fn a_jump_ends_where_the_forward_process_would() {
        let schedule = Schedule::cosine();
        let samplers = [
            Sampling::new(Ddim { eta: 0.5 }, 20),
            Sampling::new(Ddpm {}, 20),
            Sampling::new(EulerAncestral { eta: 1.0 }, 20),
        ];
        // With the true x0, x has the distribution N(a x0, s^2) before and after every step, jumps included.
        for step in samplers.into_iter().flat_map(|sampler| resampling(sampler, 4, 3).table(&schedule).steps) {
            let mean = step.next.x * schedule.signal(step.from.t) + step.next.denoised;
            let variance = (step.next.x * schedule.noise(step.from.t)).powi(2) + step.next.noise.powi(2);
            assert!((mean - schedule.signal(step.to.t)).abs() < 1e-12, "{step:?}");
            assert!((variance - schedule.noise(step.to.t).powi(2)).abs() < 1e-12, "{step:?}");
        }
    }

    #[test]
    fn solvers_start_over_after_a_jump() {
        let schedule = Schedule::vp_linear();
        for sampler in [Sampling::new(Dpmpp3m {}, 12), Sampling::new(Unipc {}, 12), Sampling::new(Heun {}, 12)] {
            let sampling = resampling(sampler.clone(), 3, 4);
            let table = sampling.table(&schedule);
            assert_eq!(table.steps.len(), sampling.evaluations());
            let fresh: Vec<_> = table.steps.windows(2).filter(|pair| pair[0].to.t > pair[0].from.t).collect();
            // Jumps start 1, 4, 7 steps before the end.
            assert_eq!(fresh.len(), 3 * 3);
            for pair in fresh {
                let after = pair[1].next;
                assert_eq!((after.saved, after.previous), (0.0, [0.0; 2]), "{sampler:?}");
                assert!(pair[1].save.is_none_or(|save| save.saved == 0.0 && save.previous == [0.0; 2]));
            }
        }
    }

    #[test]
    fn a_late_start_takes_the_same_steps_over_less_time() {
        let schedule = Schedule::vp_linear();
        let late = |start_at| Sampling { start_at: Some(start_at), ..Sampling::new(Dpmpp2m {}, 8) };
        assert_eq!(late(1.0).table(&schedule), Sampling::new(Dpmpp2m {}, 8).table(&schedule));
        let steps = late(0.25).table(&schedule).steps;
        assert_eq!((steps.len(), steps[0].from.t, steps[7].to.t), (8, 0.25, 0.0));
    }

    #[test]
    fn one_pass_is_no_resampling() {
        let ddim = || Sampling::new(Ddim { eta: 0.0 }, 10);
        assert_eq!(resampling(ddim(), 3, 1).table(&Schedule::flow()), ddim().table(&Schedule::flow()));
    }
}
