//! What a network predicts, and how one prediction becomes another.
//!
//! With x = a x0 + s eps and a^2 + s^2 = 1 (Salimans and Ho 2022, "Progressive distillation", appendix D):
//! eps = (x - a x0) / s, x0 = (x - s eps) / a, v = a eps - s x0, so x0 = a x - s v and eps = s x + a v.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{Result, TensorOp};

/// What the output of a network estimates.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parameterization {
    /// The noise.
    Eps,
    /// The clean value.
    X0,
    /// The velocity, a eps - s x0.
    V,
}

impl Parameterization {
    /// (k_x, k_out) in f64 with x0 = k_x x + k_out output.
    pub fn x0_coefficients(self, a: f64, s: f64) -> (f64, f64) {
        match self {
            Parameterization::Eps => (1.0 / a, -s / a),
            Parameterization::X0 => (0.0, 1.0),
            Parameterization::V => (a, -s),
        }
    }

    /// (k_x0, k_eps) in f64 with target = k_x0 x0 + k_eps eps: what the network is trained on.
    pub fn target_coefficients(self, a: f64, s: f64) -> (f64, f64) {
        match self {
            Parameterization::Eps => (0.0, 1.0),
            Parameterization::X0 => (1.0, 0.0),
            Parameterization::V => (-s, a),
        }
    }

    /// The estimate of x0 that `output` stands for.
    ///
    /// # Shapes
    /// `x`, `output`: `[row, ...]`; `a`, `s`: `[row, 1, ...]`, as many axes as `x`; f32, one device.
    pub fn x0_from_output(self, x: &Tensor, output: &Tensor, a: &Tensor, s: &Tensor) -> Result<Tensor> {
        match self {
            Parameterization::Eps => x0_from_eps(x, output, a, s),
            Parameterization::X0 => Ok(output.shallow_clone()),
            Parameterization::V => x0_from_v(x, output, a, s),
        }
    }

    /// The estimate of eps that `output` stands for. Shapes as in [`Parameterization::x0_from_output`].
    pub fn eps_from_output(self, x: &Tensor, output: &Tensor, a: &Tensor, s: &Tensor) -> Result<Tensor> {
        match self {
            Parameterization::Eps => Ok(output.shallow_clone()),
            Parameterization::X0 => eps_from_x0(x, output, a, s),
            Parameterization::V => eps_from_v(x, output, a, s),
        }
    }

    /// What the network should predict. Shapes as in [`Parameterization::x0_from_output`].
    pub fn target(self, x0: &Tensor, eps: &Tensor, a: &Tensor, s: &Tensor) -> Result<Tensor> {
        match self {
            Parameterization::Eps => Ok(eps.shallow_clone()),
            Parameterization::X0 => Ok(x0.shallow_clone()),
            Parameterization::V => v_from_x0_eps(x0, eps, a, s),
        }
    }
}

/// x0 = (x - s eps) / a. All `[row, ...]`, `a` and `s` `[row, 1, ...]`; f32.
pub fn x0_from_eps(x: &Tensor, eps: &Tensor, a: &Tensor, s: &Tensor) -> Result<Tensor> {
    let signal = sub(x, &mul(s, eps)?)?;
    signal.f_div(a).op("div", &[&signal, a])
}

/// x0 = a x - s v. Shapes as in [`x0_from_eps`].
pub fn x0_from_v(x: &Tensor, v: &Tensor, a: &Tensor, s: &Tensor) -> Result<Tensor> {
    sub(&mul(a, x)?, &mul(s, v)?)
}

/// eps = (x - a x0) / s. Shapes as in [`x0_from_eps`].
pub fn eps_from_x0(x: &Tensor, x0: &Tensor, a: &Tensor, s: &Tensor) -> Result<Tensor> {
    let noise = sub(x, &mul(a, x0)?)?;
    noise.f_div(s).op("div", &[&noise, s])
}

/// eps = s x + a v. Shapes as in [`x0_from_eps`].
pub fn eps_from_v(x: &Tensor, v: &Tensor, a: &Tensor, s: &Tensor) -> Result<Tensor> {
    let scaled = mul(s, x)?;
    scaled.f_addcmul(a, v).op("addcmul", &[&scaled, a, v])
}

/// v = a eps - s x0. Shapes as in [`x0_from_eps`].
pub fn v_from_x0_eps(x0: &Tensor, eps: &Tensor, a: &Tensor, s: &Tensor) -> Result<Tensor> {
    sub(&mul(a, eps)?, &mul(s, x0)?)
}

fn mul(left: &Tensor, right: &Tensor) -> Result<Tensor> {
    left.f_mul(right).op("mul", &[left, right])
}

fn sub(left: &Tensor, right: &Tensor) -> Result<Tensor> {
    left.f_sub(right).op("sub", &[left, right])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Schedule, noise};
    use proptest::prelude::*;
    use tch::Device;

    /// Conversions in f32, relative to unit variance.
    const TOLERANCE: f64 = 1e-5;

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
        fn conversions_are_inverse(seed: u64, cosine: bool, t in prop::collection::vec(0.02..0.98f64, 5)) {
            let schedule = if cosine { Schedule::cosine() } else { Schedule::vp_linear() };
            let a: Vec<f64> = t.iter().map(|t| schedule.signal(*t)).collect();
            let s: Vec<f64> = t.iter().map(|t| schedule.noise(*t)).collect();
            let smallest = a.iter().fold(1.0, |least: f64, a| least.min(*a));
            let rows = [0, 1, 2, 3, 4];
            let x0 = noise::normals_tensor(seed, &rows, "x0", 0, &[7], Device::Cpu).unwrap();
            let eps = noise::normals_tensor(seed, &rows, "eps", 0, &[7], Device::Cpu).unwrap();
            let (a, s) = (column(&a), column(&s));
            let x = &a * &x0 + &s * &eps;
            for kind in [Parameterization::Eps, Parameterization::X0, Parameterization::V] {
                let target = kind.target(&x0, &eps, &a, &s).unwrap();
                // Through eps, x0 is divided by a: the f32 error of x grows by as much, and by no more.
                let through_a = if kind == Parameterization::Eps { 1.0 / smallest } else { 1.0 };
                let x0_again = kind.x0_from_output(&x, &target, &a, &s).unwrap();
                prop_assert!(worst(&x0_again, &x0) < TOLERANCE * through_a, "{kind:?}");
                let eps_again = kind.eps_from_output(&x, &target, &a, &s).unwrap();
                prop_assert!(worst(&eps_again, &eps) < TOLERANCE * 10.0, "{kind:?}");
            }
            let v = v_from_x0_eps(&x0, &eps, &a, &s).unwrap();
            prop_assert!(worst(&x0_from_v(&x, &v, &a, &s).unwrap(), &x0) < TOLERANCE);
            prop_assert!(worst(&eps_from_v(&x, &v, &a, &s).unwrap(), &eps) < TOLERANCE);
        }

        #[test]
        fn coefficients_say_the_same_as_the_conversions(t in 0.02..0.98f64, x0 in -3.0..3.0f64, eps in -3.0..3.0f64) {
            let schedule = Schedule::vp_linear();
            let (a, s) = (schedule.signal(t), schedule.noise(t));
            for kind in [Parameterization::Eps, Parameterization::X0, Parameterization::V] {
                let (of_x0, of_eps) = kind.target_coefficients(a, s);
                let (of_x, of_output) = kind.x0_coefficients(a, s);
                let again = of_x * (a * x0 + s * eps) + of_output * (of_x0 * x0 + of_eps * eps);
                prop_assert!((again - x0).abs() < 1e-10, "{kind:?}");
            }
        }
    }

    #[test]
    fn the_names_in_a_configuration_are_fixed() {
        let names = [Parameterization::Eps, Parameterization::X0, Parameterization::V];
        assert_eq!(serde_json::to_string(&names).unwrap(), r#"["eps","x0","v"]"#);
    }
}
