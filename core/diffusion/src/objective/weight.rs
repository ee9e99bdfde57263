//! The weights of the losses.

use anyflow_config::{ContrastiveLoss, State, Weight};

use super::Prompting;
use super::times::Rows;
use crate::{Prediction, StreamSpec};

/// The weight of the squared error at a time of a noisy stream.
pub fn loss_weight(weight: Weight, stream: &StreamSpec, t: f64) -> f64 {
    match weight {
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

/// The options of the loss.
#[derive(Clone, Debug, PartialEq)]
pub struct LossOptions {
    /// The weight by time.
    pub weight: Weight,
    /// Weight of the denoising loss next to those of heads; 0 trains the heads alone.
    pub denoise_weight: f64,
    /// The index of the first of these rows in the step's batch: a micro-batch draws what its rows would draw in the
    /// whole batch.
    pub first_row: usize,
    /// The distribution of prompts, for a denoiser with prompts.
    pub prompting: Prompting,
    /// The diffused streams that take no part. They are absent.
    pub left_out: Vec<String>,
    /// Per row of this call, the streams that the row lacks, as a bit mask: bit i is set for the i-th stream of the
    /// denoiser, auxiliary streams and prompts included. They are absent: they have no loss and no gradient, and condition
    /// nothing. Empty if every row has every stream.
    pub lacking: Vec<u64>,
    /// The contrastive loss, if any.
    pub contrast: Option<ContrastiveLoss>,
}

impl Default for LossOptions {
    fn default() -> Self {
        LossOptions {
            weight: Weight::Uniform,
            denoise_weight: 1.0,
            first_row: 0,
            prompting: Prompting::default(),
            left_out: Vec::new(),
            lacking: Vec::new(),
            contrast: None,
        }
    }
}

impl LossOptions {
    /// True if a stream is diffused and takes part.
    pub(super) fn takes(&self, stream: &StreamSpec) -> bool {
        stream.is_diffused() && !self.left_out.contains(&stream.name)
    }

    /// The `count` rows of this call.
    pub(super) fn rows(&self, count: usize) -> Rows<'_> {
        Rows { first: self.first_row, count, lacking: &self.lacking }
    }

    /// Per row, which of the streams at `places` it lacks, as a bit mask over `places`.
    pub(super) fn lacking_among(&self, places: &[usize]) -> Vec<u64> {
        let of_row = |lacking: &u64| {
            places.iter().enumerate().fold(0, |bits, (bit, place)| bits | ((lacking >> place & 1) << bit))
        };
        self.lacking.iter().map(of_row).collect()
    }

    /// The weight of each coordinate of a row, whatever its time: 1 / (D - k), with D coordinates of which k are not
    /// noisy, so that rows with many observed coordinates weigh as much as rows with none.
    pub(super) fn of_row(streams: &[StreamSpec], states: &[State]) -> f64 {
        let noisy = streams.iter().zip(states).filter(|(_, state)| state.has_loss());
        let coordinates: i64 = noisy.map(|(stream, _)| stream.elements()).sum();
        1.0 / coordinates.max(1) as f64
    }
}
