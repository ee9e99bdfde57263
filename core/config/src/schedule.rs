//! Noise schedules.

use crate::ValueForm;

/// The steps of a discrete schedule, whose time t is step 1000 t - 1.
pub const STEPS: usize = 1000;

/// The noise rate of one of 1000 steps. A larger rate would erase the signal long before the last step.
const STEP_RATE: ValueForm = ValueForm::above(0.0, 0.1);

kinds! {
    /// The signal and the noise of a stream at a time between 0 and 1.
    pub enum ScheduleConfig("schedule", "schedule") default VpLinear {
        /// Variance preserving; the noise rate is linear in time.
        VpLinear = "vp-linear" {
            /// Noise rate at time 0.
            beta_min: f64 [ValueForm::POSITIVE] = 0.1;
            /// Noise rate at time 1.
            beta_max: f64 [ValueForm::POSITIVE] = 20.0;
        } "beta_min" <= "beta_max"

        /// Variance preserving; the signal is a squared cosine of time (Nichol and Dhariwal 2021).
        Cosine = "cosine" {
            /// Offset s, which keeps the noise above 0 at time 0.
            offset: f64 [ValueForm::above(0.0, 0.5)] = 0.008;
        }

        /// The 1000 discrete steps of Stable Diffusion; the square root of the noise rate is linear in time.
        ScaledLinear = "scaled-linear" {
            /// Noise rate of the first step.
            beta_start: f64 [STEP_RATE] = 0.00085;
            /// Noise rate of the last step.
            beta_end: f64 [STEP_RATE] = 0.012;
        } "beta_start" <= "beta_end"

        /// The 1000 steps that published models were trained with (Ho et al. 2020); the noise-to-signal ratio is linear between
        /// steps.
        Discrete = "discrete" {
            /// Law of the noise rates.
            betas: Betas = Betas::ScaledLinear;
            /// Noise rate of the first step; `squared-cosine` does not use it.
            beta_start: f64 [STEP_RATE] = 0.00085;
            /// Noise rate of the last step; `squared-cosine` does not use it.
            beta_end: f64 [STEP_RATE] = 0.012;
            /// Rescale the signal so that the last step is pure noise (Lin et al. 2023, algorithm 1).
            zero_snr: bool = false;
        } "beta_start" <= "beta_end"

        /// The noise levels of EDM (Karras et al. 2022), scaled to preserve variance.
        Karras = "karras" {
            /// Smallest noise-to-signal ratio above 0.
            sigma_min: f64 [ValueForm::above(0.0, 0.5)] = 0.002;
            /// Noise-to-signal ratio at time 1.
            sigma_max: f64 [ValueForm::number(1.0, 10_000.0)] = 80.0;
            /// Exponent of the spacing; larger values give more low noise levels.
            rho: f64 [ValueForm::number(1.0, 20.0)] = 7.0;
        }

        /// A straight line from data to noise (rectified flow).
        Flow = "flow" {
            /// Moves the points of a sampler towards noise: shift s / (1 + (shift - 1) s) in place of s (Esser et al. 2024,
            /// eq. (23)). With it, sampling begins at pure noise.
            shift: Option<f64> [ValueForm::above(0.0, 1000.0)];
        }
    }
}

words! {
    /// The noise rates of a discrete schedule.
    pub enum Betas {
        /// Linear in the step.
        Linear = "linear",
        /// The square root is linear in the step.
        ScaledLinear = "scaled-linear",
        /// The signal is a squared cosine (Nichol and Dhariwal 2021).
        SquaredCosine = "squared-cosine",
    }
}

impl ScheduleConfig {
    /// True if sampling may begin at pure noise, where x0 cannot be computed from the noise that a network predicts.
    pub fn begins_without_signal(&self) -> bool {
        match self {
            ScheduleConfig::Discrete(discrete) => discrete.zero_snr,
            ScheduleConfig::Flow(flow) => flow.shift.is_some(),
            _ => false,
        }
    }
}
