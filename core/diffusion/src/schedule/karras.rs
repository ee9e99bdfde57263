//! The noise levels of Karras et al. 2022, "Elucidating the design space of diffusion-based generative models".

use serde::{Deserialize, Serialize};

use super::T_MIN;

/// The levels sigma = s / a of eq. (5), evenly spaced in their 1/rho-th power. The paper's x0 + sigma eps is divided by
/// sqrt(1 + sigma^2) here, which is its input scaling c_in for data of unit variance: a = 1 / sqrt(1 + sigma^2) and
/// s = sigma a.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Karras {
    /// The smallest level above 0.
    pub sigma_min: f64,
    /// The level at time 1.
    pub sigma_max: f64,
    /// How strongly the levels concentrate at the small end.
    pub rho: f64,
}

impl Default for Karras {
    fn default() -> Self {
        Karras { sigma_min: 0.002, sigma_max: 80.0, rho: 7.0 }
    }
}

impl Karras {
    /// sigma(t): eq. (5) from the first training time to 1; below, linear down to 0, where the paper takes one step.
    fn sigma(self, t: f64) -> f64 {
        if t < T_MIN {
            return self.sigma_min * t / T_MIN;
        }
        self.root(t).powf(self.rho)
    }

    pub(super) fn signal(self, t: f64) -> f64 {
        1.0 / self.sigma(t).hypot(1.0)
    }

    pub(super) fn noise(self, t: f64) -> f64 {
        self.sigma(t) / self.sigma(t).hypot(1.0)
    }

    /// -2 d/dt log a, with log a = -log(1 + sigma^2) / 2.
    pub(super) fn beta(self, t: f64) -> f64 {
        let sigma = self.sigma(t);
        2.0 * sigma * self.slope(t) / (1.0 + sigma * sigma)
    }

    /// d sigma / dt.
    fn slope(self, t: f64) -> f64 {
        if t < T_MIN {
            return self.sigma_min / T_MIN;
        }
        let (low, high) = self.ends();
        self.rho * self.root(t).powf(self.rho - 1.0) * (high - low) / (1.0 - T_MIN)
    }

    /// The times of the levels sigma_0 .. sigma_{N-1} of eq. (5), and 0: largest first.
    pub(super) fn times(self, steps: usize) -> Vec<f64> {
        let time = |left: usize| match left {
            0 => 0.0,
            _ if left == steps => 1.0,
            _ => T_MIN + (1.0 - T_MIN) * ((left - 1) as f64 / (steps - 1) as f64),
        };
        (0..=steps).rev().map(time).collect()
    }

    fn root(self, t: f64) -> f64 {
        let (low, high) = self.ends();
        low + (t - T_MIN) / (1.0 - T_MIN) * (high - low)
    }

    fn ends(self) -> (f64, f64) {
        (self.sigma_min.powf(1.0 / self.rho), self.sigma_max.powf(1.0 / self.rho))
    }
}
