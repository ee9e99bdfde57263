//! How much signal and how much noise a stream holds at a time between 0 and 1.

use std::f64::consts::FRAC_PI_2;

use serde::{Deserialize, Serialize};

use crate::{EngineError, Result};

/// The first time that training draws: below it the noise is too small to learn from in f32.
const T_MIN: f64 = 1e-3;
/// The last time of the cosine schedule: there a = 0.0062, about what the linear schedule ends with. At 1 it is 0, and
/// x0 = (x - s eps) / a has no value.
const T_MAX_COSINE: f64 = 0.996;

/// A variance-preserving noise schedule: x_t = a(t) x_0 + s(t) eps with a^2 + s^2 = 1, t in [0, 1], all in f64.
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

    /// Refuses constants with which a would not fall from 1 towards 0.
    pub fn check(&self) -> Result<()> {
        let bad = |field, wanted, found: f64| Err(EngineError::Config { field, wanted, found: found.to_string() });
        match *self {
            Schedule::VpLinear { beta_min, .. } if !(beta_min > 0.0 && beta_min.is_finite()) => {
                bad("beta_min", "above 0", beta_min)
            }
            Schedule::VpLinear { beta_min, beta_max } if !(beta_max >= beta_min && beta_max.is_finite()) => {
                bad("beta_max", "at least beta_min", beta_max)
            }
            Schedule::Cosine { offset } if !(offset > 0.0 && offset < 1.0) => {
                bad("offset", "between 0 and 1, both excluded", offset)
            }
            _ => Ok(()),
        }
    }

    /// a(t), the share of the clean value; 1 at t = 0.
    pub fn signal(&self, t: f64) -> f64 {
        match *self {
            Schedule::VpLinear { .. } => self.log_signal(t).exp(),
            // cos(u) / cos(u0), with cos(u) written as the sine of the rest, so that a(1) is exactly 0.
            Schedule::Cosine { offset } => (rest_angle(t, offset).sin() / start_angle(offset).cos()).min(1.0),
        }
    }

    /// s(t), the share of the noise; 0 at t = 0.
    pub fn noise(&self, t: f64) -> f64 {
        match *self {
            Schedule::VpLinear { .. } => (-(2.0 * self.log_signal(t)).exp_m1()).sqrt(),
            // s^2 = (sin^2 u - sin^2 u0) / cos^2 u0, factored so that nothing cancels for small t.
            Schedule::Cosine { offset } => {
                let (angle, start) = (FRAC_PI_2 - rest_angle(t, offset), start_angle(offset));
                let difference = FRAC_PI_2 * t / (1.0 + offset);
                (difference.sin() * (angle + start).sin()).max(0.0).sqrt() / start.cos()
            }
        }
    }

    /// beta(t) = -2 d/dt log a(t), per unit of time: dx = -beta/2 x dt + sqrt(beta) dW. Infinite where a is 0.
    pub fn beta(&self, t: f64) -> f64 {
        match *self {
            Schedule::VpLinear { beta_min, beta_max } => beta_min + t * (beta_max - beta_min),
            Schedule::Cosine { offset } => 2.0 * FRAC_PI_2 / (1.0 + offset) / rest_angle(t, offset).tan(),
        }
    }

    /// log(a^2 / s^2), natural; infinite at t = 0.
    pub fn log_snr(&self, t: f64) -> f64 {
        2.0 * (self.log_signal(t) - self.noise(t).ln())
    }

    /// The smallest time that training draws.
    pub fn t_min(&self) -> f64 {
        T_MIN
    }

    /// The largest time that training draws and where sampling starts; a is above 0 there.
    pub fn t_max(&self) -> f64 {
        match self {
            Schedule::VpLinear { .. } => 1.0,
            Schedule::Cosine { .. } => T_MAX_COSINE,
        }
    }

    fn log_signal(&self, t: f64) -> f64 {
        match *self {
            Schedule::VpLinear { beta_min, beta_max } => -0.25 * t * t * (beta_max - beta_min) - 0.5 * t * beta_min,
            Schedule::Cosine { .. } => self.signal(t).ln(),
        }
    }
}

/// u0, the angle of the cosine schedule at t = 0.
fn start_angle(offset: f64) -> f64 {
    FRAC_PI_2 * offset / (1.0 + offset)
}

/// pi/2 - u, the angle that is left until a = 0.
fn rest_angle(t: f64, offset: f64) -> f64 {
    FRAC_PI_2 * (1.0 - t) / (1.0 + offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_schedule() -> impl Strategy<Value = Schedule> {
        prop_oneof![
            (0.01..1.0f64, 1.0..40.0f64).prop_map(|(beta_min, beta_max)| Schedule::VpLinear { beta_min, beta_max }),
            (0.001..0.1f64).prop_map(|offset| Schedule::Cosine { offset }),
        ]
    }

    proptest! {
        #[test]
        fn variance_is_preserved(schedule in any_schedule(), t in 0.0..=1.0f64) {
            let (a, s) = (schedule.signal(t), schedule.noise(t));
            prop_assert!((a * a + s * s - 1.0).abs() < 1e-14, "{a} {s}");
        }

        #[test]
        fn signal_falls_and_noise_grows(schedule in any_schedule(), t in 0.0..0.99f64) {
            let later = t + 0.01;
            prop_assert!(schedule.signal(later) < schedule.signal(t));
            prop_assert!(schedule.noise(later) > schedule.noise(t));
        }

        #[test]
        fn beta_is_the_slope_of_log_signal(schedule in any_schedule(), t in 0.01..0.95f64) {
            let h = 1e-5;
            let slope = (schedule.signal(t + h).ln() - schedule.signal(t - h).ln()) / (2.0 * h);
            prop_assert!((-2.0 * slope / schedule.beta(t) - 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn both_ends_are_exact_and_the_sampling_range_is_finite() {
        for schedule in [Schedule::vp_linear(), Schedule::cosine()] {
            assert_eq!((schedule.signal(0.0), schedule.noise(0.0)), (1.0, 0.0), "{schedule:?}");
            let t = schedule.t_max();
            assert!(schedule.signal(t) > 6e-3 && schedule.signal(t) < 7e-3);
            assert!(schedule.beta(t).is_finite() && schedule.log_snr(t).is_finite() && schedule.log_snr(T_MIN) > 6.0);
        }
        assert_eq!(Schedule::cosine().signal(1.0), 0.0);
    }

    #[test]
    fn the_names_in_a_configuration_are_fixed() {
        let parse = serde_json::from_str::<Schedule>;
        assert_eq!(parse(r#"{"kind": "vp-linear"}"#).unwrap(), Schedule::vp_linear());
        assert_eq!(parse(r#"{"kind": "cosine", "offset": 0.01}"#).unwrap(), Schedule::Cosine { offset: 0.01 });
        assert!(parse(r#"{"kind": "vp-linear", "offset": 0.01}"#).is_err());
        assert!(parse(r#"{"kind": "cosine", "beta_max": 1.0}"#).is_err());
        assert!(Schedule::VpLinear { beta_min: 2.0, beta_max: 1.0 }.check().is_err());
        assert!(Schedule::Cosine { offset: f64::NAN }.check().is_err());
    }
}
