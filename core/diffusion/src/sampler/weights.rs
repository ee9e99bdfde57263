//! Weights of the exponential integrators: x_u = (s_u / s) x + a_u times the integral over tau from 0 to h of
//! e^(tau - h) x0(tau), where h is the step in lambda = log(a / s): Lu et al. 2023 (DPM-Solver++), eq. (9). The integral
//! is exact for what interpolates x0 at nodes r h. `a` is a_u; h may be infinite for [`constant`] only.

/// The weight of x0 at 0, taken as constant.
pub(super) fn constant(a: f64, h: f64) -> f64 {
    -a * (-h).exp_m1()
}

/// The weights of x0 at 0 and at r, taken as linear in the mean: x0(0) + (x0(r) - x0(0)) / (2 r), second order as the
/// exact integral is. Lu et al. 2023, algorithm 2; Zhao et al. 2023 (UniPC), B_2(h) with its weight 1/2.
pub(super) fn linear(a: f64, h: f64, r: f64) -> [f64; 2] {
    let all = constant(a, h);
    [all * (1.0 - 0.5 / r), all * 0.5 / r]
}

/// The weights of x0 at 0, `r[0]` and `r[1]`, taken as the parabola through them.
pub(super) fn quadratic(a: f64, h: f64, r: [f64; 2]) -> [f64; 3] {
    // x0 = m0 + h x0' tau/h + h^2 x0'' (tau/h)^2 / 2: what the three terms integrate to, by parts.
    let rest = h + (-h).exp_m1();
    let slope = a * rest / h;
    let bend = a * (0.5 - rest / (h * h));
    // With d_k = (m_k - m0) / r_k: h^2 x0'' = 2 (d_0 - d_1) / (r_0 - r_1), h x0' = d_0 - r_0 h^2 x0'' / 2.
    let bent = (2.0 * bend - r[0] * slope) / (r[0] - r[1]);
    let first = (slope + bent) / r[0];
    let second = -bent / r[1];
    [constant(a, h) - first - second, first, second]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The integral of e^(tau - h) f(tau) by Simpson's rule.
    fn simpson(h: f64, f: impl Fn(f64) -> f64) -> f64 {
        let parts = 2000;
        let value = |k: usize| {
            let tau = h * k as f64 / parts as f64;
            let weight = if k == 0 || k == parts { 1.0 } else { 2.0 + 2.0 * (k % 2) as f64 };
            weight * (tau - h).exp() * f(tau)
        };
        (0..=parts).map(value).sum::<f64>() * h / (3.0 * parts as f64)
    }

    proptest! {
        #[test]
        fn a_parabola_is_integrated_exactly(h in 0.05..3.0f64, back in -2.0..-0.2f64, ahead: bool,
            [c0, c1, c2] in [-2.0..2.0f64, -2.0..2.0f64, -2.0..2.0f64]) {
            let f = |tau: f64| c0 + c1 * tau + c2 * tau * tau;
            let r = [back, if ahead { 1.0 } else { back - 0.7 }];
            let [w0, w1, w2] = quadratic(0.8, h, r);
            let found = w0 * f(0.0) + w1 * f(r[0] * h) + w2 * f(r[1] * h);
            prop_assert!((found - 0.8 * simpson(h, f)).abs() < 1e-9);
        }

        #[test]
        fn constants_are_integrated_exactly(h in 0.05..3.0f64, r in -2.0..-0.2f64) {
            let exact = 0.8 * simpson(h, |_| 1.0);
            prop_assert!((constant(0.8, h) - exact).abs() < 1e-9);
            prop_assert!((linear(0.8, h, r).iter().sum::<f64>() - exact).abs() < 1e-9);
            prop_assert!((linear(0.8, h, 1.0).iter().sum::<f64>() - exact).abs() < 1e-9);
        }
    }
}
