//! The conversions between what a network predicts and what samplers and losses need.
//!
//! With x = a x0 + s eps (Salimans and Ho 2022, "Progressive distillation", appendix D; Liu et al. 2023, "Flow straight
//! and fast", eq. (1)):
//! eps = (x - a x0) / s, x0 = (x - s eps) / a,
//! v = a eps - s x0, so x0 = (a x - s v) / n and eps = (s x + a v) / n with n = a^2 + s^2, 1 but for the flow schedule,
//! flow u = eps - x0, so x0 = (x - s u) / (a + s) and eps = (x + a u) / (a + s).

use anyflow_config::Parameterization;

/// The conversions of a prediction.
pub trait Prediction {
    /// (k_x, k_out) in f64 with x0 = k_x x + k_out output.
    fn x0_coefficients(self, a: f64, s: f64) -> (f64, f64);
    /// (k_x0, k_eps) in f64 with target = k_x0 x0 + k_eps eps: the training target.
    fn target_coefficients(self, a: f64, s: f64) -> (f64, f64);
}

impl Prediction for Parameterization {
    fn x0_coefficients(self, a: f64, s: f64) -> (f64, f64) {
        match self {
            Parameterization::Eps => (1.0 / a, -s / a),
            Parameterization::X0 => (0.0, 1.0),
            Parameterization::V => (a / (a * a + s * s), -s / (a * a + s * s)),
            Parameterization::Flow => (1.0 / (a + s), -s / (a + s)),
        }
    }

    fn target_coefficients(self, a: f64, s: f64) -> (f64, f64) {
        match self {
            Parameterization::Eps => (0.0, 1.0),
            Parameterization::X0 => (1.0, 0.0),
            Parameterization::V => (-s, a),
            Parameterization::Flow => (-1.0, 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Schedule;
    use proptest::prelude::*;

    fn schedules() -> impl Strategy<Value = Schedule> {
        prop::sample::select(vec![
            Schedule::vp_linear(),
            Schedule::cosine(),
            Schedule::scaled_linear(),
            Schedule::karras(),
            Schedule::flow(),
        ])
    }

    proptest! {
        #[test]
        fn coefficients_agree_with_the_conversions(schedule in schedules(), t in 0.02..0.98f64, x0 in -3.0..3.0f64, eps in -3.0..3.0f64) {
            let a = schedule.signal(t);
            let s = schedule.noise(t);
            for kind in Parameterization::ALL.iter().copied() {
                let (of_x0, of_eps) = kind.target_coefficients(a, s);
                let (of_x, of_output) = kind.x0_coefficients(a, s);
                let again = of_x * (a * x0 + s * eps) + of_output * (of_x0 * x0 + of_eps * eps);
                prop_assert!((again - x0).abs() < 1e-10, "{kind:?}");
            }
        }
    }
}
