//! Options of any sampler: a late start (SDEdit), and RePaint's resampling, which repeatedly noises the state back and
//! samples down again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sampler::table::{Point, points};
use crate::{EngineError, Result, Sampler, SamplerTable, Schedule, TableStep};

/// Jumps back to more noise: Lugmayr et al. 2022, "RePaint", algorithm 1, by the schedule of their appendix. Jumps start
/// 1, 1 + `jump`, 1 + 2 `jump` ... steps before the end, as long as there are `jump` steps to go back.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Resample {
    /// The number of steps that a jump goes back, j of the paper.
    #[serde(default = "ten")]
    pub jump: usize,
    /// How often each stretch is sampled in total, r of the paper; 1 means no jumps.
    #[serde(default = "ten")]
    pub times: usize,
}

fn ten() -> usize {
    10
}

impl Resample {
    /// The number of jumps that start at each number of remaining steps, from 0 to `steps`.
    fn jumps(self, steps: usize) -> Vec<usize> {
        let mut jumps = vec![0; steps + 1];
        for left in (1..=steps.saturating_sub(self.jump)).step_by(self.jump) {
            jumps[left] = self.times - 1;
        }
        jumps
    }
}

/// A sampler and its options, side by side as in a configuration.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Sampling {
    /// How a stream goes from noise to a clean value.
    #[serde(flatten)]
    pub sampler: Sampler,
    /// The fraction of the time range to sample, above 0. Below 1 sampling starts later, with less noise, from given
    /// init values: Meng et al. 2022, "SDEdit", section 3.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    pub start_at: f64,
    /// RePaint's resampling, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resample: Option<Resample>,
}

fn whole() -> f64 {
    1.0
}

fn is_whole(start_at: &f64) -> bool {
    *start_at == whole()
}

impl From<Sampler> for Sampling {
    fn from(sampler: Sampler) -> Self {
        Sampling { sampler, start_at: whole(), resample: None }
    }
}

impl Sampling {
    /// Rejects settings out of range.
    pub fn check(&self) -> Result<()> {
        self.sampler.check()?;
        if !(self.start_at > 0.0 && self.start_at <= 1.0) {
            let wanted = "above 0 and at most 1";
            let found = self.start_at.to_string();
            return Err(EngineError::Config { field: "start_at", wanted, found });
        }
        let Some(Resample { jump, times }) = self.resample else { return Ok(()) };
        let bad = |field, wanted, found: usize| Err(EngineError::Config { field, wanted, found: found.to_string() });
        if jump == 0 || jump > self.sampler.steps() {
            return bad("jump", "at least 1 and at most steps", jump);
        }
        if times == 0 { bad("times", "at least 1", times) } else { Ok(()) }
    }

    /// The number of network evaluations per row.
    pub fn evaluations(&self) -> usize {
        let Some(resample) = self.resample else { return self.sampler.evaluations() };
        let jumps: usize = resample.jumps(self.sampler.steps()).iter().sum();
        self.sampler.evaluations() + jumps * resample.jump * self.sampler.evaluations_per_step()
    }

    /// The table for a stream with this schedule. All streams of a row have tables of equal length.
    pub fn table(&self, schedule: &Schedule) -> SamplerTable {
        let points = points(schedule, self.sampler.steps(), self.start_at);
        let steps = match self.resample {
            None => self.sampler.walk(schedule, &points),
            Some(resample) => resampled(&self.sampler, schedule, &points, resample),
        };
        SamplerTable { start_scale: schedule.start_scale(), steps }
    }
}

/// Walks down, and after each jump walks down again from there with nothing remembered.
fn resampled(sampler: &Sampler, schedule: &Schedule, points: &[Point], resample: Resample) -> Vec<TableStep> {
    let last = points.len() - 1;
    let mut jumps = resample.jumps(last);
    // The steps from each point where a walk starts; there are far fewer points than walks.
    let mut walks = BTreeMap::new();
    let mut steps = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while at < last {
        let walk = walks.entry(start).or_insert_with(|| sampler.walk(schedule, &points[start..]));
        let step = walk.chunks(sampler.evaluations_per_step()).nth(at - start);
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
    step.t_next = t.t;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resampling(sampler: Sampler, jump: usize, times: usize) -> Sampling {
        Sampling { resample: Some(Resample { jump, times }), ..Sampling::from(sampler) }
    }

    /// The counts of the authors' schedule of jumps for 250 points, jump length 10 and 10 samples each.
    #[test]
    fn steps_are_as_many_as_in_repaint() {
        let sampling = resampling(Sampler::Ddpm { steps: 250 }, 10, 10);
        sampling.check().unwrap();
        let table = sampling.table(&Schedule::vp_linear());
        assert_eq!((table.steps.len(), sampling.evaluations()), (2410, 2410));
        let jumps = table.steps.iter().filter(|step| step.t_next > step.t).count();
        assert_eq!(jumps * 10, 2160);
        let last = table.steps[2409];
        assert_eq!((last.t_next, last.next.noise), (0.0, 0.0));
        assert!(table.steps.windows(2).all(|pair| pair[0].t_next == pair[1].t));
    }

    #[test]
    fn a_jump_ends_where_the_forward_process_would() {
        let schedule = Schedule::cosine();
        let samplers = [
            Sampler::Ddim { steps: 20, eta: 0.5 },
            Sampler::Ddpm { steps: 20 },
            Sampler::EulerAncestral { steps: 20, eta: 1.0 },
        ];
        // With the true x0, x has the distribution N(a x0, s^2) before and after every step, jumps included.
        for step in samplers.into_iter().flat_map(|sampler| resampling(sampler, 4, 3).table(&schedule).steps) {
            let mean = step.next.x * schedule.signal(step.t) + step.next.denoised;
            let variance = (step.next.x * schedule.noise(step.t)).powi(2) + step.next.noise.powi(2);
            assert!((mean - schedule.signal(step.t_next)).abs() < 1e-12, "{step:?}");
            assert!((variance - schedule.noise(step.t_next).powi(2)).abs() < 1e-12, "{step:?}");
        }
    }

    #[test]
    fn solvers_start_over_after_a_jump() {
        let schedule = Schedule::vp_linear();
        for sampler in [Sampler::Dpmpp3m { steps: 12 }, Sampler::Unipc { steps: 12 }, Sampler::Heun { steps: 12 }] {
            let sampling = resampling(sampler.clone(), 3, 4);
            let table = sampling.table(&schedule);
            assert_eq!(table.steps.len(), sampling.evaluations());
            let fresh: Vec<_> = table.steps.windows(2).filter(|pair| pair[0].t_next > pair[0].t).collect();
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
    fn options_are_keys_next_to_those_of_the_sampler() {
        let parse = serde_json::from_str::<Sampling>;
        let ddim = |resample| Sampling { resample, ..Sampler::Ddim { steps: 50, eta: 0.0 }.into() };
        assert_eq!(parse(r#"{"kind": "ddim"}"#).unwrap(), ddim(None));
        let ten = Some(Resample { jump: 10, times: 10 });
        assert_eq!(parse(r#"{"kind": "ddim", "resample": {}}"#).unwrap(), ddim(ten));
        let written = r#"{"kind": "ddim", "resample": {"jump": 5, "times": 2}}"#;
        assert_eq!(parse(written).unwrap(), ddim(Some(Resample { jump: 5, times: 2 })));
        assert!(parse(r#"{"kind": "ddim", "resample": {"leap": 5}}"#).is_err());
        assert!(parse(r#"{"kind": "euler-maruyama", "eta": 0.5}"#).is_err());
        let again = serde_json::to_string(&ddim(ten)).unwrap();
        assert_eq!(parse(&again).unwrap(), ddim(ten));
    }

    #[test]
    fn a_late_start_takes_the_same_steps_over_less_time() {
        let schedule = Schedule::vp_linear();
        let late = |start_at| Sampling { start_at, ..Sampler::Dpmpp2m { steps: 8 }.into() };
        assert_eq!(late(1.0).table(&schedule), Sampler::Dpmpp2m { steps: 8 }.table(&schedule));
        let steps = late(0.25).table(&schedule).steps;
        assert_eq!((steps.len(), steps[0].t, steps[7].t_next), (8, 0.25, 0.0));
        for start_at in [0.0, -0.5, 1.5, f64::NAN] {
            assert!(late(start_at).check().is_err());
        }
        let parsed: Sampling = serde_json::from_str(r#"{"kind": "dpmpp-2m", "steps": 8, "start_at": 0.25}"#).unwrap();
        assert_eq!(parsed, late(0.25));
    }

    #[test]
    fn invalid_settings_are_rejected() {
        let ddim = || Sampler::Ddim { steps: 10, eta: 0.0 };
        for (jump, times) in [(0, 2), (11, 2), (3, 0)] {
            assert!(resampling(ddim(), jump, times).check().is_err());
        }
        assert!(resampling(ddim(), 10, 1).check().is_ok());
        assert_eq!(resampling(ddim(), 3, 1).table(&Schedule::flow()), ddim().table(&Schedule::flow()));
    }
}
