//! Auxiliary streams: streams of a denoiser that are never diffused. The embedding of an auxiliary stream is added into
//! a diffused stream, or a head predicts the auxiliary stream from the network's features, or both.
//!
//! Chen et al. 2024, "Diffusion models for multi-task generative modeling". With b_t = sum_i gamma_i(t) E_i(x_i) over
//! the auxiliary streams of a stream, their chain is z_t = y_t + b_t with y_t the plain diffusion of the stream.
//! Schedules, samplers and parameterizations therefore stay as they are; only the network's input is shifted by b_t.

use anyflow_config::{Aggregation, AggregationSchedule};

use crate::Schedule;

/// The weight of an embedding in the marginal of a diffused stream.
pub trait EmbeddingWeight {
    /// gamma(t) for t > 0; see [`AggregationSchedule`].
    fn gamma(&self, schedule: &Schedule, t: f64) -> f64;
}

impl EmbeddingWeight for Aggregation {
    fn gamma(&self, schedule: &Schedule, t: f64) -> f64 {
        let a = schedule.signal(t);
        match self.law {
            AggregationSchedule::Start => self.weight * a,
            AggregationSchedule::Bump => 2.0 * self.weight * a * schedule.noise(t),
        }
    }
}

/// Mean and standard deviation of a coordinate of a one-hot vector over equally frequent classes.
pub(crate) fn class_moments(classes: i64) -> (f64, f64) {
    let share = 1.0 / classes as f64;
    (share, (share * (1.0 - share)).sqrt())
}
