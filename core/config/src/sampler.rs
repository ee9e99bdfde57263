//! Samplers. To add one, declare it here, write the function that makes its table in a file of `core/diffusion/src/sampler`,
//! and call that function in `core/diffusion/src/sampler.rs`.

use crate::{Spacing, ValueForm};

const COUNT: ValueForm = ValueForm::integer(1, 100_000);

kinds! {
    /// How a stream goes from noise to a clean value.
    pub enum Sampler("sampler", "sampler") default Ddim shares Shared where "resample.jump" <= "steps" {
        /// DDIM (Song et al. 2021); `eta: 1` has the variance of DDPM.
        Ddim = "ddim" {
            /// Fraction of the posterior variance added as noise.
            eta: f64 [ValueForm::FRACTION] = 0.0;
        }

        /// Euler-Maruyama for the reverse SDE, in equal steps of time.
        EulerMaruyama = "euler-maruyama" (steps = 250) {}

        /// Ancestral sampling from the posterior of every step (Ho et al. 2020).
        Ddpm = "ddpm" (steps = 1000) {}

        /// Euler's method in the noise-to-signal ratio, first order.
        Euler = "euler" {}

        /// An Euler step to a lower noise level, then fresh noise up to the next one.
        EulerAncestral = "euler-ancestral" {
            /// Fraction of fresh noise per step.
            eta: f64 [ValueForm::FRACTION] = 1.0;
        }

        /// Heun's method in the noise-to-signal ratio, second order (Karras et al. 2022).
        Heun = "heun" (steps = 25) {}

        /// DPM-Solver++, multistep, second order (Lu et al. 2022).
        Dpmpp2m = "dpmpp-2m" (steps = 20) {}

        /// DPM-Solver++, multistep, third order (Lu et al. 2022).
        Dpmpp3m = "dpmpp-3m" (steps = 20) {}

        /// UniPC, predictor and corrector of order 2 (Zhao et al. 2023).
        Unipc = "unipc" (steps = 20) {}
    }
}

keys! {
    /// Keys of every kind.
    pub struct Shared {
        /// Sampling steps. A step is one network call per row; with `heun` it is two, except in the last step.
        steps: usize [COUNT] = 50;
        /// Strength of SDEdit: time at which sampling starts. Below 1 it starts from partly noised data.
        start_at: Option<f64> [ValueForm::above(0.0, 1.0)];
        /// Noise the state back and sample it again (RePaint).
        resample: Option<Resample>;
        /// The points that are visited; by default equal steps of time.
        spacing: Option<Spacing>;
    }
}

keys! {
    /// Jumps back to more noise: Lugmayr et al. 2022, "RePaint", algorithm 1.
    pub struct Resample("sampler.resample") {
        /// Steps that a jump goes back.
        jump: usize [COUNT] = 10;
        /// Number of passes over each stretch of `jump` steps.
        times: usize [ValueForm::integer(1, 100)] = 10;
    }
}
