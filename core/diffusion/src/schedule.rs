//! Noise schedules: the signal and the noise of a stream at a time between 0 and 1.

mod karras;
mod scaled_linear;

use std::f64::consts::FRAC_PI_2;

use serde::{Deserialize, Serialize};

use crate::{EngineError, Result};
pub use karras::Karras;
pub use scaled_linear::ScaledLinear;

/// The smallest training time: below it the noise is too small to learn from in f32.
const T_MIN: f64 = 1e-3;
/// The last time of the cosine schedule, with a = 0.0062, about the end of the linear schedule. At time 1, a is 0 and
/// x0 = (x - s eps) / a is undefined.
const T_MAX_COSINE: f64 = 0.996;
/// The last time of the flow schedule, for the same reason; a = 0.001 there.
const T_MAX_FLOW: f64 = 0.999;

/// A noise schedule: x_t = a(t) x_0 + s(t) eps, t in [0, 1], all in f64. All but `Flow` preserve variance, a^2 + s^2 = 1,
/// so that a network sees unit variance at every time.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// beta(t) linear in t: Song et al. 2021, "Score-based generative modeling through SDEs", eq. (32).
    VpLinear {
        /// beta(0), per unit of time.
        #[serde(default = "default_beta_min")]
        beta_min: f64,
        /// beta(1), per unit of time.
        #[serde(default = "default_beta_max")]
        beta_max: f64,
    },
    /// a(t)^2 a squared cosine: Nichol and Dhariwal 2021, "Improved denoising diffusion", eq. (17).
    Cosine {
        /// The shift that keeps beta(0) above 0.
        #[serde(default = "default_offset")]
        offset: f64,
    },
    /// 1000 discrete steps whose rates are linear in the square root, as in Stable Diffusion.
    ScaledLinear(ScaledLinear),
    /// The noise levels of Karras et al. 2022, scaled to preserve variance.
    Karras(Karras),
    /// a = 1 - t, s = t, a straight line from data to noise: Liu et al. 2023, "Flow straight and fast", eq. (1).
    Flow {},
}

fn default_beta_min() -> f64 {
    0.1
}

fn default_beta_max() -> f64 {
    20.0
}

fn default_offset() -> f64 {
    0.008
}

impl Schedule {
    /// The linear schedule with its usual constants, 0.1 and 20.
    pub fn vp_linear() -> Self {
        Schedule::VpLinear { beta_min: default_beta_min(), beta_max: default_beta_max() }
    }

    /// The cosine schedule with its usual offset, 0.008.
    pub fn cosine() -> Self {
        Schedule::Cosine { offset: default_offset() }
    }

    /// The schedule of Stable Diffusion, with its rates 0.00085 and 0.012.
    pub fn scaled_linear() -> Self {
        Schedule::ScaledLinear(ScaledLinear::default())
    }

    /// The levels of Karras et al. with their constants: 0.002, 80 and 7.
    pub fn karras() -> Self {
        Schedule::Karras(Karras::default())
    }

    /// The straight line from data to noise.
    pub fn flow() -> Self {
        Schedule::Flow {}
    }

    /// Rejects constants for which a does not fall from 1 towards 0.
    pub fn check(&self) -> Result<()> {
        let bad = |field, wanted, found: f64| Err(EngineError::Config { field, wanted, found: found.to_string() });
        match self {
            Schedule::VpLinear { beta_min, .. } if !(*beta_min > 0.0 && beta_min.is_finite()) => {
                bad("beta_min", "above 0", *beta_min)
            }
            Schedule::VpLinear { beta_min, beta_max } if !(beta_max >= beta_min && beta_max.is_finite()) => {
                bad("beta_max", "at least beta_min", *beta_max)
            }
            Schedule::Cosine { offset } if !(*offset > 0.0 && *offset < 1.0) => {
                bad("offset", "above 0 and below 1", *offset)
            }
            Schedule::ScaledLinear(scaled) => match scaled.rates() {
                (start, _) if !(start > 0.0 && start <= 0.1) => bad("beta_start", "above 0 and at most 0.1", start),
                (start, end) if !(end >= start && end <= 0.1) => {
                    bad("beta_end", "at least beta_start and at most 0.1", end)
                }
                _ => Ok(()),
            },
            // The two ranges do not meet, so that the levels always rise.
            Schedule::Karras(Karras { sigma_min, .. }) if !(*sigma_min > 0.0 && *sigma_min <= 0.5) => {
                bad("sigma_min", "above 0 and at most 0.5", *sigma_min)
            }
            Schedule::Karras(Karras { sigma_max, .. }) if !(1.0..=10_000.0).contains(sigma_max) => {
                bad("sigma_max", "from 1 to 10000", *sigma_max)
            }
            Schedule::Karras(Karras { rho, .. }) if !(1.0..=20.0).contains(rho) => bad("rho", "from 1 to 20", *rho),
            _ => Ok(()),
        }
    }

    /// a(t), the factor of the clean value; 1 at t = 0.
    pub fn signal(&self, t: f64) -> f64 {
        match self {
            Schedule::VpLinear { .. } | Schedule::ScaledLinear(_) => self.log_signal(t).exp(),
            // cos(u) / cos(u0), with cos(u) written as the sine of the rest, so that a(1) is exactly 0.
            Schedule::Cosine { offset } => (rest_angle(t, *offset).sin() / start_angle(*offset).cos()).min(1.0),
            Schedule::Karras(levels) => levels.signal(t),
            Schedule::Flow {} => 1.0 - t,
        }
    }

    /// s(t), the factor of the noise; 0 at t = 0.
    pub fn noise(&self, t: f64) -> f64 {
        match self {
            Schedule::VpLinear { .. } | Schedule::ScaledLinear(_) => (2.0 * self.log_signal(t)).exp_m1().abs().sqrt(),
            // s^2 = (sin^2 u - sin^2 u0) / cos^2 u0, factored so that nothing cancels for small t.
            Schedule::Cosine { offset } => {
                let angle = FRAC_PI_2 - rest_angle(t, *offset);
                let start = start_angle(*offset);
                let difference = FRAC_PI_2 * t / (1.0 + offset);
                (difference.sin() * (angle + start).sin()).max(0.0).sqrt() / start.cos()
            }
            Schedule::Karras(levels) => levels.noise(t),
            Schedule::Flow {} => t,
        }
    }

    /// beta(t) = -2 d/dt log a(t), per unit of time: dx = -beta/2 x dt + g dW. Infinite where a is 0.
    pub fn beta(&self, t: f64) -> f64 {
        match self {
            Schedule::VpLinear { beta_min, beta_max } => beta_min + t * (beta_max - beta_min),
            Schedule::Cosine { offset } => 2.0 * FRAC_PI_2 / (1.0 + offset) / rest_angle(t, *offset).tan(),
            Schedule::ScaledLinear(scaled) => scaled.beta(t),
            Schedule::Karras(levels) => levels.beta(t),
            Schedule::Flow {} => 2.0 / (1.0 - t),
        }
    }

    /// g(t)^2 = d/dt s^2 + beta s^2, the rate at which noise is added: beta if variance is preserved (Kingma et al.
    /// 2021, "Variational diffusion models", appendix; Song et al. 2021, eq. (11) for that case).
    pub fn diffusion(&self, t: f64) -> f64 {
        match self {
            Schedule::Flow {} => 2.0 * t / (1.0 - t),
            _ => self.beta(t),
        }
    }

    /// g^2 / s^2 at `t` = -d log snr / dt, the rate of noise relative to the noise that is there: Kingma et al. 2021,
    /// "Variational diffusion models", eq. (15).
    pub fn noise_rate(&self, t: f64) -> f64 {
        let s = self.noise(t);
        self.diffusion(t) / (s * s)
    }

    /// log(a^2 / s^2), natural; infinite at t = 0.
    pub fn log_snr(&self, t: f64) -> f64 {
        2.0 * (self.log_signal(t) - self.noise(t).ln())
    }

    /// The smallest training time.
    pub fn t_min(&self) -> f64 {
        T_MIN
    }

    /// The largest training time, where sampling starts; a is above 0 there.
    pub fn t_max(&self) -> f64 {
        match self {
            Schedule::Cosine { .. } => T_MAX_COSINE,
            Schedule::Flow {} => T_MAX_FLOW,
            Schedule::VpLinear { .. } | Schedule::ScaledLinear(_) | Schedule::Karras(_) => 1.0,
        }
    }

    /// The `steps` + 1 times that a sampler visits, from the last one down to 0: equidistant, except for Karras, which
    /// meets the levels of the paper exactly.
    pub fn times(&self, steps: usize) -> Vec<f64> {
        match self {
            Schedule::Karras(levels) => levels.times(steps),
            _ => (0..=steps).map(|step| self.t_max() * ((steps - step) as f64 / steps as f64)).collect(),
        }
    }

    /// The standard deviation of x at the last time for data of unit variance: the scale of the initial noise.
    pub fn start_scale(&self) -> f64 {
        match self {
            Schedule::Flow {} => self.signal(T_MAX_FLOW).hypot(self.noise(T_MAX_FLOW)),
            _ => 1.0,
        }
    }

    fn log_signal(&self, t: f64) -> f64 {
        match self {
            Schedule::VpLinear { beta_min, beta_max } => -0.25 * t * t * (beta_max - beta_min) - 0.5 * t * beta_min,
            Schedule::ScaledLinear(scaled) => scaled.log_signal(t),
            Schedule::Cosine { .. } | Schedule::Karras(_) | Schedule::Flow {} => self.signal(t).ln(),
        }
    }
}

/// u0, the angle of the cosine schedule at t = 0.
fn start_angle(offset: f64) -> f64 {
    FRAC_PI_2 * offset / (1.0 + offset)
}

/// pi/2 - u, the remaining angle until a = 0.
fn rest_angle(t: f64, offset: f64) -> f64 {
    FRAC_PI_2 * (1.0 - t) / (1.0 + offset)
}

#[cfg(test)]
mod tests;
