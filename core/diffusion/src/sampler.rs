//! A sampler is a function that yields a table: per step the coefficients of one linear update.

use serde::{Deserialize, Serialize};

use crate::{EngineError, Result, Schedule};

/// How a stream goes from noise to a clean value.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Sampler {
    /// Song et al. 2021, "Denoising diffusion implicit models", eq. (12), on times equally far apart.
    Ddim {
        /// The number of network evaluations.
        #[serde(default = "default_ddim_steps")]
        steps: usize,
        /// 0: no noise is added, the probability-flow ODE; 1: as much as in DDPM.
        #[serde(default)]
        eta: f64,
    },
    /// The reverse SDE by Euler and Maruyama: Bounoua et al. 2024, "Multi-modal latent diffusion", reverse of its
    /// forward SDE, on times equally far apart; no noise in the last step.
    EulerMaruyama {
        /// The number of network evaluations.
        #[serde(default = "default_euler_maruyama_steps")]
        steps: usize,
    },
}

fn default_ddim_steps() -> usize {
    50
}

fn default_euler_maruyama_steps() -> usize {
    250
}

/// The coefficients of one linear update in f64, over everything a row may remember.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Update {
    /// Of x, the state of the row.
    pub x: f64,
    /// Of the saved state, which multi-evaluation and predictor-corrector samplers return to.
    pub saved: f64,
    /// Of the denoised value (x0 estimate) of this step.
    pub denoised: f64,
    /// Of the denoised values of the last step and the one before it.
    pub previous: [f64; 2],
    /// Of fresh standard normal noise.
    pub noise: f64,
}

/// One network evaluation and the update that follows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TableStep {
    /// The time at which the network is evaluated, in (0, 1].
    pub t: f64,
    /// The time of the state after the update; the last one is 0.
    pub t_next: f64,
    /// The next state.
    pub next: Update,
    /// What becomes the saved state, from the same terms (noise excepted), if anything does.
    pub save: Option<Update>,
}

/// All steps of one sampler on one schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplerTable {
    /// The first state is this times standard normal noise.
    pub start_scale: f64,
    /// The steps in order, from the schedule's last time down to 0.
    pub steps: Vec<TableStep>,
}

impl SamplerTable {
    /// Whether a step reads the saved state or earlier denoised values, so that rows must keep them.
    pub fn uses_history(&self) -> bool {
        self.steps.iter().any(|step| step.next.saved != 0.0 || step.next.previous != [0.0; 2])
    }
}

impl Sampler {
    /// The number of network evaluations per row.
    pub fn evaluations(&self) -> usize {
        match *self {
            Sampler::Ddim { steps, .. } | Sampler::EulerMaruyama { steps } => steps,
        }
    }

    /// Refuses settings without a meaning.
    pub fn check(&self) -> Result<()> {
        if self.evaluations() == 0 {
            return Err(EngineError::Config { field: "steps", wanted: "at least 1", found: "0".to_string() });
        }
        match *self {
            Sampler::Ddim { eta, .. } if !(0.0..=1.0).contains(&eta) => {
                Err(EngineError::Config { field: "eta", wanted: "from 0 to 1", found: eta.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// The table for a stream with this schedule. All streams of a row have tables of equal length.
    pub fn table(&self, schedule: &Schedule) -> SamplerTable {
        match *self {
            Sampler::Ddim { steps, eta } => ddim(schedule, steps, eta),
            Sampler::EulerMaruyama { steps } => euler_maruyama(schedule, steps),
        }
    }
}

/// The times `t_max .. 0`, `steps` + 1 of them, equally far apart.
fn even_times(schedule: &Schedule, steps: usize) -> Vec<f64> {
    (0..=steps).map(|step| schedule.t_max() * ((steps - step) as f64 / steps as f64)).collect()
}

/// From t to u: x_u = a_u x0 + sqrt(s_u^2 - sigma^2) eps + sigma xi, with eps = (x - a x0) / s and
/// sigma = eta (s_u / s) sqrt(1 - a^2 / a_u^2): Song et al. 2021 (DDIM), eq. (12) and (16).
fn ddim(schedule: &Schedule, steps: usize, eta: f64) -> SamplerTable {
    let step = |pair: &[f64]| {
        let (t, u) = (pair[0], pair[1]);
        let (a, s) = (schedule.signal(t), schedule.noise(t));
        let (a_u, s_u) = (schedule.signal(u), schedule.noise(u));
        let sigma = eta * (s_u / s) * (1.0 - (a / a_u).powi(2)).sqrt();
        let x = (s_u * s_u - sigma * sigma).max(0.0).sqrt() / s;
        let next = Update { x, denoised: a_u - a * x, noise: sigma, ..Update::default() };
        TableStep { t, t_next: u, next, save: None }
    };
    SamplerTable { start_scale: 1.0, steps: even_times(schedule, steps).windows(2).map(step).collect() }
}

/// x <- x + dt (beta/2 x + beta score) + sqrt(beta dt) xi with score = -(x - a x0) / s^2: the reverse of
/// dx = -beta/2 x dt + sqrt(beta) dW, Song et al. 2021 (SDE), eq. (6).
fn euler_maruyama(schedule: &Schedule, steps: usize) -> SamplerTable {
    let step = |pair: &[f64]| {
        let (t, u) = (pair[0], pair[1]);
        let (a, s) = (schedule.signal(t), schedule.noise(t));
        let drift = schedule.beta(t) * (t - u);
        let next = Update {
            x: 1.0 + drift / 2.0 - drift / (s * s),
            denoised: drift * a / (s * s),
            noise: if u > 0.0 { drift.sqrt() } else { 0.0 },
            ..Update::default()
        };
        TableStep { t, t_next: u, next, save: None }
    };
    SamplerTable { start_scale: 1.0, steps: even_times(schedule, steps).windows(2).map(step).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn times_fall_strictly_and_end_at_zero(steps in 1usize..300, eta in 0.0..=1.0f64, cosine: bool, sde: bool) {
            let schedule = if cosine { Schedule::cosine() } else { Schedule::vp_linear() };
            let sampler = if sde { Sampler::EulerMaruyama { steps } } else { Sampler::Ddim { steps, eta } };
            sampler.check().unwrap();
            let table = sampler.table(&schedule);
            prop_assert_eq!(table.steps.len(), sampler.evaluations());
            prop_assert_eq!(table.steps[0].t, schedule.t_max());
            prop_assert_eq!(table.steps[steps - 1].t_next, 0.0);
            prop_assert_eq!(table.steps[steps - 1].next.noise, 0.0);
            prop_assert!(!table.uses_history());
            for (index, step) in table.steps.iter().enumerate() {
                prop_assert!(step.t > step.t_next);
                prop_assert!(index == 0 || table.steps[index - 1].t_next == step.t);
                prop_assert!([step.next.x, step.next.denoised, step.next.noise].iter().all(|c| c.is_finite()));
            }
        }

        #[test]
        fn ddim_keeps_the_marginal(steps in 1usize..60, eta in 0.0..=1.0f64, cosine: bool) {
            // With the true x0 the update maps N(a x0, s^2) onto N(a_u x0, s_u^2), whatever eta.
            let schedule = if cosine { Schedule::cosine() } else { Schedule::vp_linear() };
            for step in &(Sampler::Ddim { steps, eta }).table(&schedule).steps {
                let mean = step.next.x * schedule.signal(step.t) + step.next.denoised;
                let variance = (step.next.x * schedule.noise(step.t)).powi(2) + step.next.noise.powi(2);
                prop_assert!((mean - schedule.signal(step.t_next)).abs() < 1e-12);
                prop_assert!((variance - schedule.noise(step.t_next).powi(2)).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn the_last_ddim_step_returns_the_denoised_value() {
        let table = Sampler::Ddim { steps: 7, eta: 0.0 }.table(&Schedule::cosine());
        assert_eq!(table.steps[6].next, Update { denoised: 1.0, ..Update::default() });
    }

    #[test]
    fn the_names_in_a_configuration_are_fixed() {
        let parse = serde_json::from_str::<Sampler>;
        assert_eq!(parse(r#"{"kind": "ddim"}"#).unwrap(), Sampler::Ddim { steps: 50, eta: 0.0 });
        assert_eq!(parse(r#"{"kind": "euler-maruyama"}"#).unwrap(), Sampler::EulerMaruyama { steps: 250 });
        assert!(parse(r#"{"kind": "euler-maruyama", "eta": 0.5}"#).is_err());
        assert!(Sampler::Ddim { steps: 0, eta: 0.0 }.check().is_err());
        assert!(Sampler::Ddim { steps: 1, eta: 1.5 }.check().is_err());
    }
}
