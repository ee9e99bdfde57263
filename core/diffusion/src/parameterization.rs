//! The quantity that a network predicts, and the conversions between predictions.
//!
//! With x = a x0 + s eps (Salimans and Ho 2022, "Progressive distillation", appendix D; Liu et al. 2023, "Flow straight
//! and fast", eq. (1)):
//! eps = (x - a x0) / s, x0 = (x - s eps) / a,
//! v = a eps - s x0, so x0 = (a x - s v) / n and eps = (s x + a v) / n with n = a^2 + s^2, 1 but for the flow schedule,
//! flow u = eps - x0, so x0 = (x - s u) / (a + s) and eps = (x + a u) / (a + s).

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{Result, TensorExt};

/// The quantity that the output of a network estimates.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parameterization {
    /// The noise.
    Eps,
    /// The clean value.
    X0,
    /// The velocity on a circle, a eps - s x0.
    V,
    /// The velocity on a straight line, eps - x0.
    Flow,
}

impl Parameterization {
    /// (k_x, k_out) in f64 with x0 = k_x x + k_out output.
    pub fn x0_coefficients(self, a: f64, s: f64) -> (f64, f64) {
        match self {
            Parameterization::Eps => (1.0 / a, -s / a),
            Parameterization::X0 => (0.0, 1.0),
            Parameterization::V => (a / (a * a + s * s), -s / (a * a + s * s)),
            Parameterization::Flow => (1.0 / (a + s), -s / (a + s)),
        }
    }

    /// (k_x0, k_eps) in f64 with target = k_x0 x0 + k_eps eps: the training target.
    pub fn target_coefficients(self, a: f64, s: f64) -> (f64, f64) {
        match self {
            Parameterization::Eps => (0.0, 1.0),
            Parameterization::X0 => (1.0, 0.0),
            Parameterization::V => (-s, a),
            Parameterization::Flow => (-1.0, 1.0),
        }
    }

    /// The x0 estimate of `output`.
    ///
    /// # Shapes
    /// `x`, `output`: `[row, ...]`; `a`, `s`: `[row, 1, ...]`, as many axes as `x`; f32, one device.
    pub fn x0_from_output(self, x: &Tensor, output: &Tensor, a: &Tensor, s: &Tensor) -> Result<Tensor> {
        match self {
            Parameterization::Eps => x0_from_eps(x, output, a, s),
            Parameterization::X0 => Ok(output.shallow_clone()),
            Parameterization::V => x0_from_v(x, output, a, s),
            Parameterization::Flow => x0_from_flow(x, output, a, s),
        }
    }

    /// The eps estimate of `output`. Shapes as in [`Parameterization::x0_from_output`].
    pub fn eps_from_output(self, x: &Tensor, output: &Tensor, a: &Tensor, s: &Tensor) -> Result<Tensor> {
        match self {
            Parameterization::Eps => Ok(output.shallow_clone()),
            Parameterization::X0 => eps_from_x0(x, output, a, s),
            Parameterization::V => eps_from_v(x, output, a, s),
            Parameterization::Flow => eps_from_flow(x, output, a, s),
        }
    }

    /// The training target. Shapes as in [`Parameterization::x0_from_output`].
    pub fn target(self, x0: &Tensor, eps: &Tensor, a: &Tensor, s: &Tensor) -> Result<Tensor> {
        match self {
            Parameterization::Eps => Ok(eps.shallow_clone()),
            Parameterization::X0 => Ok(x0.shallow_clone()),
            Parameterization::V => v_from_x0_eps(x0, eps, a, s),
            Parameterization::Flow => sub(eps, x0),
        }
    }
}

/// x0 = (x - s eps) / a. All `[row, ...]`, `a` and `s` `[row, 1, ...]`; f32.
pub fn x0_from_eps(x: &Tensor, eps: &Tensor, a: &Tensor, s: &Tensor) -> Result<Tensor> {
    div(&sub(x, &mul(s, eps)?)?, a)
}

/// x0 = (a x - s v) / (a^2 + s^2). Shapes as in [`x0_from_eps`].
pub fn x0_from_v(x: &Tensor, v: &Tensor, a: &Tensor, s: &Tensor) -> Result<Tensor> {
    div(&sub(&mul(a, x)?, &mul(s, v)?)?, &squares(a, s)?)
}

/// x0 = (x - s u) / (a + s). Shapes as in [`x0_from_eps`].
pub fn x0_from_flow(x: &Tensor, u: &Tensor, a: &Tensor, s: &Tensor) -> Result<Tensor> {
    div(&sub(x, &mul(s, u)?)?, &a.try_add(s)?)
}

/// eps = (x - a x0) / s. Shapes as in [`x0_from_eps`].
pub fn eps_from_x0(x: &Tensor, x0: &Tensor, a: &Tensor, s: &Tensor) -> Result<Tensor> {
    div(&sub(x, &mul(a, x0)?)?, s)
}

/// eps = (s x + a v) / (a^2 + s^2). Shapes as in [`x0_from_eps`].
pub fn eps_from_v(x: &Tensor, v: &Tensor, a: &Tensor, s: &Tensor) -> Result<Tensor> {
    let scaled = mul(s, x)?;
    div(&scaled.try_addcmul(a, v)?, &squares(a, s)?)
}

/// eps = (x + a u) / (a + s). Shapes as in [`x0_from_eps`].
pub fn eps_from_flow(x: &Tensor, u: &Tensor, a: &Tensor, s: &Tensor) -> Result<Tensor> {
    div(&x.try_addcmul(a, u)?, &a.try_add(s)?)
}

/// v = a eps - s x0. Shapes as in [`x0_from_eps`].
pub fn v_from_x0_eps(x0: &Tensor, eps: &Tensor, a: &Tensor, s: &Tensor) -> Result<Tensor> {
    sub(&mul(a, eps)?, &mul(s, x0)?)
}

fn squares(a: &Tensor, s: &Tensor) -> Result<Tensor> {
    mul(a, a)?.try_addcmul(s, s)
}

fn div(left: &Tensor, right: &Tensor) -> Result<Tensor> {
    left.try_div(right)
}

fn mul(left: &Tensor, right: &Tensor) -> Result<Tensor> {
    left.try_mul(right)
}

fn sub(left: &Tensor, right: &Tensor) -> Result<Tensor> {
    left.try_sub(right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Schedule, noise};
    use proptest::prelude::*;
    use tch::Device;

    /// Conversions in f32, relative to unit variance.
    const TOLERANCE: f64 = 1e-5;

    const ALL: [Parameterization; 4] =
        [Parameterization::Eps, Parameterization::X0, Parameterization::V, Parameterization::Flow];

    fn schedules() -> impl Strategy<Value = Schedule> {
        prop::sample::select(vec![
            Schedule::vp_linear(),
            Schedule::cosine(),
            Schedule::scaled_linear(),
            Schedule::karras(),
            Schedule::flow(),
        ])
    }

    fn worst(left: &Tensor, right: &Tensor) -> f64 {
        (left - right).abs().max().double_value(&[])
    }

    fn column(values: &[f64]) -> Tensor {
        let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
        Tensor::from_slice(&values).view([-1, 1])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn conversions_are_inverse(seed: u64, schedule in schedules(), t in prop::collection::vec(0.02..0.98f64, 5)) {
            let a: Vec<f64> = t.iter().map(|t| schedule.signal(*t)).collect();
            let s: Vec<f64> = t.iter().map(|t| schedule.noise(*t)).collect();
            let smallest = a.iter().fold(1.0, |least: f64, a| least.min(*a));
            let least = s.iter().fold(1.0, |least: f64, s| least.min(*s));
            let rows = [0, 1, 2, 3, 4];
            let x0 = noise::normals_tensor(seed, &rows, "x0", 0, &[7], Device::Cpu).unwrap();
            let eps = noise::normals_tensor(seed, &rows, "eps", 0, &[7], Device::Cpu).unwrap();
            let a = column(&a);
            let s = column(&s);
            let x = &a * &x0 + &s * &eps;
            for kind in ALL {
                let target = kind.target(&x0, &eps, &a, &s).unwrap();
                // From eps, x0 is divided by a: the f32 error of x grows by that factor, and by no more.
                let through_a = if kind == Parameterization::Eps { 1.0 / smallest } else { 1.0 };
                let x0_again = kind.x0_from_output(&x, &target, &a, &s).unwrap();
                prop_assert!(worst(&x0_again, &x0) < TOLERANCE * through_a, "{kind:?}");
                let eps_again = kind.eps_from_output(&x, &target, &a, &s).unwrap();
                // From x0, eps is divided by s.
                let through_s = if kind == Parameterization::X0 { 1.0 / least } else { 1.0 };
                prop_assert!(worst(&eps_again, &eps) < TOLERANCE * through_s, "{kind:?}");
            }
            let v = v_from_x0_eps(&x0, &eps, &a, &s).unwrap();
            prop_assert!(worst(&x0_from_v(&x, &v, &a, &s).unwrap(), &x0) < TOLERANCE);
            prop_assert!(worst(&eps_from_v(&x, &v, &a, &s).unwrap(), &eps) < TOLERANCE);
        }

        #[test]
        fn coefficients_agree_with_the_conversions(schedule in schedules(), t in 0.02..0.98f64, x0 in -3.0..3.0f64, eps in -3.0..3.0f64) {
            let a = schedule.signal(t);
            let s = schedule.noise(t);
            for kind in ALL {
                let (of_x0, of_eps) = kind.target_coefficients(a, s);
                let (of_x, of_output) = kind.x0_coefficients(a, s);
                let again = of_x * (a * x0 + s * eps) + of_output * (of_x0 * x0 + of_eps * eps);
                prop_assert!((again - x0).abs() < 1e-10, "{kind:?}");
            }
        }
    }

    #[test]
    fn the_names_in_a_configuration_are_fixed() {
        assert_eq!(serde_json::to_string(&ALL).unwrap(), r#"["eps","x0","v","flow"]"#);
    }
}
