//! Samplers. To add one, declare it here, write the function that makes its table in a file of `core/diffusion/src/sampler`,
//! and call that function in `core/diffusion/src/sampler.rs`.

use serde_json::{Map, Value as Json};

use crate::{Family, Keyed, Kinds, ValueForm};

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

/// A sampler and the keys that all samplers share.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// The kind with its own keys.
    pub sampler: Sampler,
    /// The number of steps from one time of the schedule to the next.
    pub steps: usize,
    /// The fraction of the time range to sample, above 0; `None` is 1. Below 1 sampling starts later, with less noise, from
    /// given initial values: Meng et al. 2022, "SDEdit", section 3.
    pub start_at: Option<f64>,
    /// RePaint's resampling, if any.
    pub resample: Option<Resample>,
}

impl Sampling {
    /// A sampler that starts from pure noise and does not resample.
    pub fn new(sampler: impl Into<Sampler>, steps: usize) -> Self {
        Sampling { sampler: sampler.into(), steps, start_at: None, resample: None }
    }

    /// The fraction of the time range to sample, above 0.
    pub fn start_at(&self) -> f64 {
        self.start_at.unwrap_or(1.0)
    }

    /// The kind, the shared keys with a default, the kind's own keys, and the other shared keys.
    fn object(&self) -> Map<String, Json> {
        let mut own = self.sampler.object();
        let kind = own.shift_remove_entry("kind");
        let steps = [("steps".to_string(), Json::from(self.steps))];
        let shared = Shared { steps: self.steps, start_at: self.start_at, resample: self.resample.clone() };
        kind.into_iter().chain(steps).chain(own).chain(shared.object().into_iter().skip(1)).collect()
    }

    fn read(object: Map<String, Json>) -> Result<Self, String> {
        let is_shared = |name: &str| Shared::KEYS.iter().any(|key| key.name == name);
        let (mut shared, own): (Map<_, _>, Map<_, _>) = object.into_iter().partition(|(name, _)| is_shared(name));
        let sampler = Sampler::read(own)?;
        let kind = crate::given::kind(Self::FAMILY, &mut sampler.object())?;
        let steps = kind.defaults.iter().find(|default| default.key == "steps").map(|default| (default.value)());
        if let Some(steps) = steps.filter(|_| !shared.contains_key("steps")) {
            shared.insert("steps".to_string(), steps);
        }
        let Shared { steps, start_at, resample } = Shared::read(shared)?;
        let sampling = Sampling { sampler, steps, start_at, resample };
        crate::given::kind(Self::FAMILY, &mut sampling.object())?;
        Ok(sampling)
    }
}

impl Kinds for Sampling {
    const FAMILY: &'static Family = Sampler::FAMILY;
}

as_object!(Sampling);
