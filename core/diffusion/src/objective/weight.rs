//! How losses are weighted.

use serde::{Deserialize, Serialize};

use super::{Contrast, Prompting};
use crate::{State, StreamSpec};

/// The weight of the squared error at a time.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// 1 on what the network predicts.
    #[default]
    Uniform,
    /// g^2 / s^2 on the error in eps, which is what the network's error amounts to there: the weight with which the loss
    /// bounds the likelihood. Song et al. 2021, "Maximum likelihood training of score-based diffusion models", eq. (7)
    /// with lambda = g^2, the score being -eps / s.
    Likelihood,
}

impl Weight {
    /// At a time of a noisy stream.
    pub fn at(self, stream: &StreamSpec, t: f64) -> f64 {
        match self {
            Weight::Uniform => 1.0,
            Weight::Likelihood => {
                let (a, s) = (stream.schedule.signal(t), stream.schedule.noise(t));
                // x being given, eps = (x - a x0) / s.
                let eps_of_output = -a / s * stream.parameterization.x0_coefficients(a, s).1;
                stream.schedule.noise_rate(t) * eps_of_output * eps_of_output
            }
        }
    }
}

/// How the loss is weighted.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossOptions {
    /// Multiplies a row's loss by D / (D - k), with D coordinates of which k are not noisy, so that rows with much given
    /// weigh as much as rows with nothing given.
    pub subset_scale: bool,
    /// By time.
    pub weight: Weight,
    /// Of the denoising loss beside those of heads; with 0, heads alone are trained.
    pub denoising: f64,
    /// The place of the first of these rows in the step's batch: a micro-batch draws what its rows would draw in the
    /// whole batch.
    #[serde(skip)]
    pub first_row: usize,
    /// Which prompts rows have, for a denoiser that reads prompts.
    #[serde(skip)]
    pub prompting: Prompting,
    /// Diffused streams that take no part, by place: bit i is set for the i-th stream. They are absent.
    #[serde(skip)]
    pub left_out: u64,
    /// Of what coupled streams show one another, or of what is recovered of a stream.
    #[serde(skip)]
    pub contrast: Option<Contrast>,
}

impl Default for LossOptions {
    fn default() -> Self {
        LossOptions {
            subset_scale: true,
            weight: Weight::Uniform,
            denoising: 1.0,
            first_row: 0,
            prompting: Prompting::default(),
            left_out: 0,
            contrast: None,
        }
    }
}

impl LossOptions {
    /// Whether a diffused stream takes part.
    pub(super) fn takes(&self, place: usize) -> bool {
        self.left_out >> place & 1 == 0
    }

    /// The weight of each coordinate of a row, whatever its time: 1/D, times D / (D - k) if the options say so.
    pub(super) fn of_row(&self, streams: &[StreamSpec], states: &[State]) -> f64 {
        let all: i64 = streams.iter().map(StreamSpec::elements).sum();
        let noisy: i64 =
            streams.iter().zip(states).filter(|(_, state)| state.has_loss()).map(|(stream, _)| stream.elements()).sum();
        1.0 / if self.subset_scale { noisy.max(1) } else { all.max(1) } as f64
    }
}
