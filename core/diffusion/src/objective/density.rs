//! The density of times within their range.

use serde::{Deserialize, Serialize};

use crate::Schedule;
use crate::noise::RowNoise;

/// The noise key of the normals of times; no stream can have this name.
const DENSITY_NOISE: &str = "\0law/normal";

/// The density of a time in the schedule's training range, which starts at 0.001.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Density {
    /// Uniform.
    #[default]
    Uniform,
    /// Proportional to g^2 / s^2, which makes log snr uniform; every loss is divided by it, so that on average it is the
    /// loss of uniform times, but with little variance where it is weighted by likelihood: Song et al. 2021, "Maximum
    /// likelihood training of score-based diffusion models", section 5.1.
    Importance,
    /// The logistic function of a standard normal, as a fraction of the range. Losses are not corrected, since the
    /// middle should count more: Esser et al. 2024, "Scaling rectified flow transformers", eq. (19) with m = 0, s = 1.
    LogitNormal,
}

impl Density {
    /// Takes a draw (uniform on (0, 1), or of [`logit_normals`]) to a fraction of the range, and what a loss at that time
    /// is multiplied by.
    pub(super) fn fraction(self, draw: f64, schedule: &Schedule) -> (f64, f64) {
        if self != Density::Importance {
            return (draw, 1.0);
        }
        // The integral of g^2 / s^2 is the fall of log snr: Kingma et al. 2021, "Variational diffusion models", eq. (15).
        let (least, most) = (schedule.t_min(), schedule.t_max());
        let (start, end) = (schedule.log_snr(least), schedule.log_snr(most));
        let t = schedule.time_from_log_snr(start + draw * (end - start));
        let (mean_rate, range) = ((start - end) / (most - least), most - least);
        ((t - least) / range, mean_rate / schedule.noise_rate(t))
    }
}

/// Logistic functions of standard normals, one per stream.
pub(super) fn logit_normals(streams: usize, seed: u64, row: usize, step: u32) -> Vec<f64> {
    let mut normals = vec![0.0f32; streams];
    RowNoise::new(seed, row as u64, DENSITY_NOISE).normals(step, &mut normals);
    normals.iter().map(|normal| 1.0 / (1.0 + (-f64::from(*normal)).exp())).collect()
}
