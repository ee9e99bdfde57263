//! The weights of the losses.

use serde::{Deserialize, Serialize};

use super::{ContrastiveLoss, Prompting};
use crate::{State, StreamSpec};

/// The weight of the squared error at a time.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// 1 on the predicted quantity.
    #[default]
    Uniform,
    /// g^2 / s^2 on the error in eps, to which the network's error is converted: the weight under which the loss bounds
    /// the likelihood. Song et al. 2021, "Maximum likelihood training of score-based diffusion models", eq. (7) with
    /// lambda = g^2, the score being -eps / s.
    Likelihood,
}

impl Weight {
    /// The weight at a time of a noisy stream.
    pub fn at(self, stream: &StreamSpec, t: f64) -> f64 {
        match self {
            Weight::Uniform => 1.0,
            Weight::Likelihood => {
                let a = stream.schedule.signal(t);
                let s = stream.schedule.noise(t);
                // Given x, eps = (x - a x0) / s.
                let eps_of_output = -a / s * stream.parameterization.x0_coefficients(a, s).1;
                stream.schedule.noise_rate(t) * eps_of_output * eps_of_output
            }
        }
    }
}

/// The options of the loss.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossOptions {
    /// The weight by time.
    pub weight: Weight,
    /// Weight of the denoising loss next to those of heads; 0 trains the heads alone.
    pub denoise_weight: f64,
    /// The index of the first of these rows in the step's batch: a micro-batch draws what its rows would draw in the
    /// whole batch.
    #[serde(skip)]
    pub first_row: usize,
    /// The distribution of prompts, for a denoiser with prompts.
    #[serde(skip)]
    pub prompting: Prompting,
    /// Diffused streams that take no part, as a bit mask: bit i is set for the i-th stream. They are absent.
    #[serde(skip)]
    pub left_out: u64,
    /// The contrastive loss, if any.
    #[serde(skip)]
    pub contrast: Option<ContrastiveLoss>,
}

impl Default for LossOptions {
    fn default() -> Self {
        LossOptions {
            weight: Weight::Uniform,
            denoise_weight: 1.0,
            first_row: 0,
            prompting: Prompting::default(),
            left_out: 0,
            contrast: None,
        }
    }
}

impl LossOptions {
    /// True if a diffused stream takes part.
    pub(super) fn takes(&self, index: usize) -> bool {
        self.left_out >> index & 1 == 0
    }

    /// The weight of each coordinate of a row, whatever its time: 1 / (D - k), with D coordinates of which k are not
    /// noisy, so that rows with many observed coordinates weigh as much as rows with none.
    pub(super) fn of_row(streams: &[StreamSpec], states: &[State]) -> f64 {
        let noisy = streams.iter().zip(states).filter(|(_, state)| state.has_loss());
        let coordinates: i64 = noisy.map(|(stream, _)| stream.elements()).sum();
        1.0 / coordinates.max(1) as f64
    }
}
