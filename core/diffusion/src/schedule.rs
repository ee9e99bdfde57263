//! Noise schedules: the signal and the noise of a stream at a time between 0 and 1.

mod curves;
mod discrete;
mod karras;
mod scaled_linear;

use std::fmt;
use std::sync::Arc;

use anyflow_config as config;
use anyflow_config::Kinds;

use crate::{EngineError, Result};
pub(crate) use curves::shifted;
pub(crate) use discrete::{DiscreteChain, Level};

/// The smallest training time: below it the noise is too small to learn from in f32.
const T_MIN: f64 = 1e-3;

/// A noise schedule: x_t = a(t) x_0 + s(t) eps, t in [0, 1], all in f64. All but `flow` preserve variance, a^2 + s^2 = 1,
/// so that a network sees unit variance at every time.
#[derive(Clone)]
pub struct Schedule {
    kind: config::ScheduleConfig,
    curve: Arc<dyn Curve>,
}

/// What differs from kind to kind.
trait Curve: Send + Sync {
    /// a(t), the factor of the clean value; 1 at t = 0.
    fn signal(&self, t: f64) -> f64 {
        self.log_signal(t).exp()
    }

    /// s(t), the factor of the noise; 0 at t = 0.
    fn noise(&self, t: f64) -> f64 {
        (2.0 * self.log_signal(t)).exp_m1().abs().sqrt()
    }

    /// log a(t). A curve defines this or `signal` and `noise`.
    fn log_signal(&self, t: f64) -> f64 {
        self.signal(t).ln()
    }

    /// -2 d/dt log a(t).
    fn beta(&self, t: f64) -> f64;

    /// d/dt s^2 + beta s^2: beta if variance is preserved.
    fn diffusion(&self, t: f64) -> f64 {
        self.beta(t)
    }

    /// The largest time at which a is above 0.
    fn t_max(&self) -> f64 {
        1.0
    }

    /// The chain of a discrete schedule.
    fn chain(&self) -> Option<&DiscreteChain> {
        None
    }

    /// The times that a sampler visits: equidistant.
    fn times(&self, steps: usize) -> Vec<f64> {
        (0..=steps).map(|step| self.t_max() * ((steps - step) as f64 / steps as f64)).collect()
    }
}

impl Schedule {
    /// The curve of a kind.
    pub fn new(kind: impl Into<config::ScheduleConfig>) -> Self {
        let kind = kind.into();
        let curve = curves::of(&kind);
        Schedule { kind, curve }
    }

    /// The linear schedule with its usual constants, 0.1 and 20.
    pub fn vp_linear() -> Self {
        Schedule::new(config::schedule::VpLinear::default())
    }

    /// The cosine schedule with its usual offset, 0.008.
    pub fn cosine() -> Self {
        Schedule::new(config::schedule::Cosine::default())
    }

    /// The schedule of Stable Diffusion, with its rates 0.00085 and 0.012.
    pub fn scaled_linear() -> Self {
        Schedule::new(config::schedule::ScaledLinear::default())
    }

    /// The levels of Karras et al. with their constants: 0.002, 80 and 7.
    pub fn karras() -> Self {
        Schedule::new(config::schedule::Karras::default())
    }

    /// The straight line from data to noise.
    pub fn flow() -> Self {
        Schedule::new(config::schedule::Flow::default())
    }

    /// The discrete schedule with the rates of Stable Diffusion.
    pub fn discrete() -> Self {
        Schedule::new(config::schedule::Discrete::default())
    }

    /// Rejects constants for which a does not fall from 1 towards 0.
    pub fn check(&self) -> Result<()> {
        self.kind.check().map_err(EngineError::Options)
    }

    /// a(t), the factor of the clean value; 1 at t = 0.
    pub fn signal(&self, t: f64) -> f64 {
        self.curve.signal(t)
    }

    /// s(t), the factor of the noise; 0 at t = 0.
    pub fn noise(&self, t: f64) -> f64 {
        self.curve.noise(t)
    }

    /// beta(t) = -2 d/dt log a(t), per unit of time: dx = -beta/2 x dt + g dW. Infinite where a is 0.
    pub fn beta(&self, t: f64) -> f64 {
        self.curve.beta(t)
    }

    /// g(t)^2 = d/dt s^2 + beta s^2, the rate at which noise is added: beta if variance is preserved (Kingma et al.
    /// 2021, "Variational diffusion models", appendix; Song et al. 2021, eq. (11) for that case).
    pub fn diffusion(&self, t: f64) -> f64 {
        self.curve.diffusion(t)
    }

    /// g^2 / s^2 at `t` = -d log snr / dt, the rate of noise relative to the noise that is there: Kingma et al. 2021,
    /// "Variational diffusion models", eq. (15).
    pub fn noise_rate(&self, t: f64) -> f64 {
        let s = self.noise(t);
        self.diffusion(t) / (s * s)
    }

    /// log(a^2 / s^2), natural; infinite at t = 0.
    pub fn log_snr(&self, t: f64) -> f64 {
        2.0 * (self.curve.log_signal(t) - self.noise(t).ln())
    }

    /// The smallest training time.
    pub fn t_min(&self) -> f64 {
        T_MIN
    }

    /// The largest training time, where sampling starts; a is above 0 there.
    pub fn t_max(&self) -> f64 {
        self.curve.t_max()
    }

    /// The `steps` + 1 times that a sampler visits by default, from the last one down to 0: equidistant, except for Karras, which
    /// meets the levels of the paper exactly, and a flow with a shift.
    pub fn times(&self, steps: usize) -> Vec<f64> {
        self.curve.times(steps)
    }

    /// The chain of a discrete schedule.
    pub(crate) fn chain(&self) -> Option<&DiscreteChain> {
        self.curve.chain()
    }

    /// The shift of a flow towards noise, if it has one.
    pub(crate) fn shift(&self) -> Option<f64> {
        match &self.kind {
            config::ScheduleConfig::Flow(flow) => flow.shift,
            _ => None,
        }
    }

    /// The standard deviation of x at the last time for data of unit variance: the scale of the initial noise.
    pub fn start_scale(&self) -> f64 {
        match self.kind {
            config::ScheduleConfig::Flow(config::schedule::Flow { shift: None }) => {
                self.signal(self.t_max()).hypot(self.noise(self.t_max()))
            }
            _ => 1.0,
        }
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(formatter)
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

#[cfg(test)]
mod tests;
