//! The curves of closed form, and which kind has which curve.

use std::f64::consts::FRAC_PI_2;
use std::sync::Arc;

use anyflow_config::ScheduleConfig;
use anyflow_config::schedule::{Cosine, Flow, VpLinear};

use super::Curve;
use super::discrete::DiscreteChain;
use super::scaled_linear::Chain;

/// The curve of a kind.
pub(super) fn of(kind: &ScheduleConfig) -> Arc<dyn Curve> {
    match kind.clone() {
        ScheduleConfig::VpLinear(curve) => Arc::new(curve),
        ScheduleConfig::Cosine(curve) => Arc::new(curve),
        ScheduleConfig::ScaledLinear(rates) => Arc::new(Chain::new(&rates)),
        ScheduleConfig::Discrete(options) => Arc::new(DiscreteChain::new(&options)),
        ScheduleConfig::Karras(curve) => Arc::new(curve),
        ScheduleConfig::Flow(curve) => Arc::new(curve),
    }
}

/// beta(t) linear in t: Song et al. 2021, "Score-based generative modeling through SDEs", eq. (32).
impl Curve for VpLinear {
    fn log_signal(&self, t: f64) -> f64 {
        -0.25 * t * t * (self.beta_max - self.beta_min) - 0.5 * t * self.beta_min
    }

    fn beta(&self, t: f64) -> f64 {
        self.beta_min + t * (self.beta_max - self.beta_min)
    }
}

/// The last time of the cosine schedule, with a = 0.0062, about the end of the linear schedule. At time 1, a is 0 and
/// x0 = (x - s eps) / a is undefined.
const T_MAX_COSINE: f64 = 0.996;

/// a(t)^2 a squared cosine: Nichol and Dhariwal 2021, "Improved denoising diffusion", eq. (17).
impl Curve for Cosine {
    /// cos(u) / cos(u0), with cos(u) written as the sine of the rest, so that a(1) is exactly 0.
    fn signal(&self, t: f64) -> f64 {
        (rest_angle(t, self.offset).sin() / start_angle(self.offset).cos()).min(1.0)
    }

    /// s^2 = (sin^2 u - sin^2 u0) / cos^2 u0, factored so that nothing cancels for small t.
    fn noise(&self, t: f64) -> f64 {
        let angle = FRAC_PI_2 - rest_angle(t, self.offset);
        let start = start_angle(self.offset);
        let difference = FRAC_PI_2 * t / (1.0 + self.offset);
        (difference.sin() * (angle + start).sin()).max(0.0).sqrt() / start.cos()
    }

    fn beta(&self, t: f64) -> f64 {
        2.0 * FRAC_PI_2 / (1.0 + self.offset) / rest_angle(t, self.offset).tan()
    }

    fn t_max(&self) -> f64 {
        T_MAX_COSINE
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

/// The last time of the flow schedule, where a = 0.001, for the same reason.
const T_MAX_FLOW: f64 = 0.999;

/// a = 1 - t, s = t, a straight line from data to noise: Liu et al. 2023, "Flow straight and fast", eq. (1).
impl Curve for Flow {
    fn signal(&self, t: f64) -> f64 {
        1.0 - t
    }

    fn noise(&self, t: f64) -> f64 {
        t
    }

    fn beta(&self, t: f64) -> f64 {
        2.0 / (1.0 - t)
    }

    fn diffusion(&self, t: f64) -> f64 {
        2.0 * t / (1.0 - t)
    }

    fn t_max(&self) -> f64 {
        T_MAX_FLOW
    }

    /// With a shift, from pure noise on: Esser et al. 2024, "Scaling rectified flow transformers", eq. (23).
    fn times(&self, steps: usize) -> Vec<f64> {
        let time = |left: usize| left as f64 / steps as f64;
        (0..=steps)
            .rev()
            .map(|left| self.shift.map_or(T_MAX_FLOW * time(left), |shift| shifted(shift, time(left))))
            .collect()
    }
}

/// shift t / (1 + (shift - 1) t), eq. (23).
pub(crate) fn shifted(shift: f64, t: f64) -> f64 {
    shift * t / (1.0 + (shift - 1.0) * t)
}
