//! The density of times within their range.

use serde::{Deserialize, Serialize};

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
    /// The logistic function of a standard normal, as a fraction of the range. Losses are not corrected, since the
    /// middle should count more: Esser et al. 2024, "Scaling rectified flow transformers", eq. (19) with m = 0, s = 1.
    LogitNormal,
}

/// Logistic functions of standard normals, one per stream.
pub(super) fn logit_normals(streams: usize, seed: u64, row: usize, step: u32) -> Vec<f64> {
    let mut normals = vec![0.0f32; streams];
    RowNoise::new(seed, row as u64, DENSITY_NOISE).normals(step, &mut normals);
    normals.iter().map(|normal| 1.0 / (1.0 + (-f64::from(*normal)).exp())).collect()
}
