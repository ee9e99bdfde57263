//! The noise levels of Karras et al. 2022, "Elucidating the design space of diffusion-based generative models".

use anyflow_config::schedule::Karras;

use super::{Curve, T_MIN};

/// The levels sigma = s / a of eq. (5), evenly spaced in their 1/rho-th power. The paper's x0 + sigma eps is divided by
/// sqrt(1 + sigma^2) here, which is its input scaling c_in for data of unit variance: a = 1 / sqrt(1 + sigma^2) and
/// s = sigma a.
impl Curve for Karras {
    fn signal(&self, t: f64) -> f64 {
        1.0 / sigma(self, t).hypot(1.0)
    }

    fn noise(&self, t: f64) -> f64 {
        sigma(self, t) / sigma(self, t).hypot(1.0)
    }

    /// -2 d/dt log a, with log a = -log(1 + sigma^2) / 2.
    fn beta(&self, t: f64) -> f64 {
        let sigma = sigma(self, t);
        2.0 * sigma * slope(self, t) / (1.0 + sigma * sigma)
    }

    /// The times of the levels sigma_0 .. sigma_{N-1} of eq. (5), and 0: largest first.
    fn times(&self, steps: usize) -> Vec<f64> {
        let time = |left: usize| match left {
            0 => 0.0,
            _ if left == steps => 1.0,
            _ => T_MIN + (1.0 - T_MIN) * ((left - 1) as f64 / (steps - 1) as f64),
        };
        (0..=steps).rev().map(time).collect()
    }
}

/// sigma(t): eq. (5) from the first training time to 1; below, linear down to 0, where the paper takes one step.
fn sigma(levels: &Karras, t: f64) -> f64 {
    if t < T_MIN {
        return levels.sigma_min * t / T_MIN;
    }
    root(levels, t).powf(levels.rho)
}

/// d sigma / dt.
fn slope(levels: &Karras, t: f64) -> f64 {
    if t < T_MIN {
        return levels.sigma_min / T_MIN;
    }
    let (low, high) = ends(levels);
    levels.rho * root(levels, t).powf(levels.rho - 1.0) * (high - low) / (1.0 - T_MIN)
}

fn root(levels: &Karras, t: f64) -> f64 {
    let (low, high) = ends(levels);
    low + (t - T_MIN) / (1.0 - T_MIN) * (high - low)
}

fn ends(levels: &Karras) -> (f64, f64) {
    (levels.sigma_min.powf(1.0 / levels.rho), levels.sigma_max.powf(1.0 / levels.rho))
}
