//! A sampler is a function that yields a table: per step the coefficients of one linear update.
//!
//! One family, one file. `core/config` declares the kinds and their keys.

mod euler;
mod heun;
mod multistep;
mod posterior;
mod resample;
mod table;
mod weights;

use anyflow_config::sampler::{Ddim, EulerAncestral};
use anyflow_config::{Sampler, Sampling};

use crate::Schedule;
use table::{Point, points};
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
        let once = (per_step * self.steps).saturating_sub(per_step - 1);
        let Some(resample) = &self.resample else { return once };
        let jumps: usize = resample::jumps(resample, self.steps).iter().sum();
        once + jumps * resample.jump * per_step
    }

    fn table(&self, schedule: &Schedule) -> SamplerTable {
        let points = points(schedule, self.steps, self.start_at());
        let steps = match &self.resample {
            None => walk(&self.sampler, schedule, &points),
            Some(resample) => resample::resampled(&self.sampler, schedule, &points, resample),
        };
        SamplerTable { start_scale: schedule.start_scale(), steps }
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
