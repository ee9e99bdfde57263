//! A sampler is a function that yields a table: per step the coefficients of one linear update.
//!
//! One family, one file. `core/config` declares the kinds and their keys.

mod euler;
mod heun;
mod multistep;
mod points;
mod posterior;
mod resample;
mod table;
mod weights;

use anyflow_config::sampler::{Ddim, EulerAncestral};
use anyflow_config::{Sampler, Sampling};

use crate::Schedule;
pub use points::Point;
use points::Points;
pub use table::{SamplerTable, TableStep, Update};

/// The tables of a sampler.
pub trait Solver {
    /// The number of network evaluations per row.
    fn evaluations(&self) -> usize;
    /// The table for a stream with this schedule. All streams of a row have tables of equal length.
    fn table(&self, schedule: &Schedule) -> SamplerTable;
}

impl Solver for Sampling {
    fn evaluations(&self) -> usize {
        let per_step = evaluations_per_step(&self.sampler);
        let once = (per_step * self.updates()).saturating_sub(per_step - 1);
        let Some(resample) = &self.resample else { return once };
        let jumps: usize = resample::jumps(resample, self.updates()).iter().sum();
        once + jumps * resample.jump * per_step
    }

    fn table(&self, schedule: &Schedule) -> SamplerTable {
        let Points { all, ends, start_scale } = Points::new(self, schedule);
        let steps = match (&self.resample, ends) {
            (Some(resample), _) => resample::resampled(&self.sampler, schedule, &all, resample),
            (None, None) => walk(&self.sampler, schedule, &all),
            (None, Some(ends)) => {
                let pairs = all.iter().zip(ends).flat_map(|(from, to)| walk(&self.sampler, schedule, &[*from, to]));
                pairs.collect()
            }
        };
        SamplerTable { start_scale, steps }
    }
}

/// The steps from point to point; nothing is remembered at the first.
fn walk(sampler: &Sampler, schedule: &Schedule, points: &[Point]) -> Vec<TableStep> {
    match sampler {
        Sampler::Ddim(Ddim { eta }) => posterior::ddim(points, *eta),
        Sampler::Ddpm(_) => posterior::ddpm(points),
        Sampler::Euler(_) => euler::euler(points, 0.0),
        Sampler::EulerAncestral(EulerAncestral { eta }) => euler::euler(points, *eta),
        Sampler::EulerMaruyama(_) => euler::euler_maruyama(points, schedule),
        Sampler::Heun(_) => heun::heun(points),
        Sampler::Dpmpp2m(_) => multistep::dpmpp(points, 2),
        Sampler::Dpmpp3m(_) => multistep::dpmpp(points, 3),
        Sampler::Unipc(_) => multistep::unipc(points),
    }
}

/// The network evaluations from one point to the next; the last point takes one.
fn evaluations_per_step(sampler: &Sampler) -> usize {
    if matches!(sampler, Sampler::Heun(_)) { 2 } else { 1 }
}

#[cfg(test)]
mod tests;
