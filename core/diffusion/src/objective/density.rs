//! The density of times within their range.

use crate::noise::RowNoise;

/// The noise key of the normals of times; no stream can have this name.
const DENSITY_NOISE: &str = "\0law/normal";

/// Logistic functions of standard normals as fractions of the range, one per stream. Losses are not corrected, since the
/// middle should count more: Esser et al. 2024, "Scaling rectified flow transformers", eq. (19) with m = 0, s = 1.
pub(super) fn logit_normals(streams: usize, seed: u64, row: usize, step: u32) -> Vec<f64> {
    let mut normals = vec![0.0f32; streams];
    RowNoise::new(seed, row as u64, DENSITY_NOISE).normals(step, &mut normals);
    normals.iter().map(|normal| 1.0 / (1.0 + (-f64::from(*normal)).exp())).collect()
}
