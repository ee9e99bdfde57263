//! A sampler is a function that yields a table: per step the coefficients of one linear update.
//!
//! One family, one file. The fields of [`Sampler`] are the keys of a configuration.

mod euler;
mod heun;
mod multistep;
mod posterior;
mod resample;
mod table;
mod weights;

use serde::{Deserialize, Serialize};

use crate::{EngineError, Result, Schedule};
pub use resample::{Resample, Sampling};
use table::{Point, points};
pub use table::{SamplerTable, TableStep, Update};

/// A sampler: takes a stream from noise to a clean value over the times of its schedule.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Sampler {
    /// Song et al. 2021, "Denoising diffusion implicit models", eq. (12).
    Ddim {
        /// The number of network evaluations.
        #[serde(default = "fifty")]
        steps: usize,
        /// 0: no noise, the probability-flow ODE; 1: as much noise as DDPM.
        #[serde(default)]
        eta: f64,
    },
    /// The reverse SDE by Euler and Maruyama: Bounoua et al. 2024, "Multi-modal latent diffusion", reverse of its
    /// forward SDE; no noise in the last step.
    EulerMaruyama {
        /// The number of network evaluations.
        #[serde(default = "two_hundred_and_fifty")]
        steps: usize,
    },
    /// Ho et al. 2020, "Denoising diffusion probabilistic models", algorithm 2.
    Ddpm {
        /// The number of network evaluations.
        #[serde(default = "thousand")]
        steps: usize,
    },
    /// Euler's method in sigma = s / a: Karras et al. 2022, algorithm 1 without its second-order part.
    Euler {
        /// The number of network evaluations.
        #[serde(default = "fifty")]
        steps: usize,
    },
    /// Euler's method further down, then back up with fresh noise.
    EulerAncestral {
        /// The number of network evaluations.
        #[serde(default = "fifty")]
        steps: usize,
        /// 0: no noise; 1: as much noise as DDPM.
        #[serde(default = "one")]
        eta: f64,
    },
    /// Heun's method in sigma, second order: Karras et al. 2022, algorithm 1.
    Heun {
        /// The number of steps, with two network evaluations each except for the last.
        #[serde(default = "twenty_five")]
        steps: usize,
    },
    /// DPM-Solver++, multistep with two denoised values, second order: Lu et al. 2023.
    #[serde(rename = "dpmpp-2m")]
    Dpmpp2m {
        /// The number of network evaluations.
        #[serde(default = "twenty")]
        steps: usize,
    },
    /// DPM-Solver++, multistep with three denoised values, third order: Lu et al. 2023.
    #[serde(rename = "dpmpp-3m")]
    Dpmpp3m {
        /// The number of network evaluations.
        #[serde(default = "twenty")]
        steps: usize,
    },
    /// UniPC, predictor and corrector of order 2: Zhao et al. 2023.
    Unipc {
        /// The number of network evaluations.
        #[serde(default = "twenty")]
        steps: usize,
    },
}

fn one() -> f64 {
    1.0
}

fn twenty() -> usize {
    20
}

fn twenty_five() -> usize {
    25
}

fn fifty() -> usize {
    50
}

fn two_hundred_and_fifty() -> usize {
    250
}

fn thousand() -> usize {
    1000
}

impl Sampler {
    /// The number of steps from one time of the schedule to the next.
    pub fn steps(&self) -> usize {
        match *self {
            Sampler::Ddim { steps, .. }
            | Sampler::Ddpm { steps }
            | Sampler::Euler { steps }
            | Sampler::EulerAncestral { steps, .. }
            | Sampler::EulerMaruyama { steps }
            | Sampler::Heun { steps }
            | Sampler::Dpmpp2m { steps }
            | Sampler::Dpmpp3m { steps }
            | Sampler::Unipc { steps } => steps,
        }
    }

    /// The number of network evaluations per row.
    pub fn evaluations(&self) -> usize {
        (self.evaluations_per_step() * self.steps()).saturating_sub(self.evaluations_per_step() - 1)
    }

    /// Rejects settings out of range.
    pub fn check(&self) -> Result<()> {
        if self.steps() == 0 {
            return Err(EngineError::Config { field: "steps", wanted: "at least 1", found: "0".to_string() });
        }
        match *self {
            Sampler::Ddim { eta, .. } | Sampler::EulerAncestral { eta, .. } if !(0.0..=1.0).contains(&eta) => {
                Err(EngineError::Config { field: "eta", wanted: "from 0 to 1", found: eta.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// The table for a stream with this schedule. All streams of a row have tables of equal length.
    pub fn table(&self, schedule: &Schedule) -> SamplerTable {
        let steps = self.walk(schedule, &points(schedule, self.steps(), 1.0));
        SamplerTable { start_scale: schedule.start_scale(), steps }
    }

    /// The steps from point to point; nothing is remembered at the first.
    fn walk(&self, schedule: &Schedule, points: &[Point]) -> Vec<TableStep> {
        match *self {
            Sampler::Ddim { eta, .. } => posterior::ddim(points, eta),
            Sampler::Ddpm { .. } => posterior::ddpm(points),
            Sampler::Euler { .. } => euler::euler(points, 0.0),
            Sampler::EulerAncestral { eta, .. } => euler::euler(points, eta),
            Sampler::EulerMaruyama { .. } => euler::euler_maruyama(points, schedule),
            Sampler::Heun { .. } => heun::heun(points),
            Sampler::Dpmpp2m { .. } => multistep::dpmpp(points, 2),
            Sampler::Dpmpp3m { .. } => multistep::dpmpp(points, 3),
            Sampler::Unipc { .. } => multistep::unipc(points),
        }
    }

    /// The network evaluations from one point to the next; the last point takes one.
    fn evaluations_per_step(&self) -> usize {
        if matches!(self, Sampler::Heun { .. }) { 2 } else { 1 }
    }
}

#[cfg(test)]
mod tests;
