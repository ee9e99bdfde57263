//! Another sample rate, by a windowed sinc.

use std::f64::consts::PI;

/// Zero crossings of the sinc on each side; at 16 the transition is an eighth of the band wide.
const CROSSINGS: usize = 16;
/// Table entries per zero crossing; read linearly, the error is -100 dB.
const STEPS: usize = 512;

/// `samples` at `rate` as samples at `new_rate`, without what the lower of the two cannot hold.
pub(crate) fn resampled(samples: &[f32], rate: u32, new_rate: u32) -> Vec<f32> {
    let kernel = kernel();
    let ratio = f64::from(rate) / f64::from(new_rate);
    // The kernel is stretched when the new rate is lower, so that it cuts at the new Nyquist frequency.
    let stretch = ratio.max(1.0);
    let reach = stretch * CROSSINGS as f64;
    let n = ((samples.len() as f64 / ratio).round() as usize).max(1);
    (0..n)
        .map(|i| {
            let center = i as f64 * ratio;
            let first = (center - reach).ceil().max(0.0) as usize;
            let last = ((center + reach).floor() as usize).min(samples.len() - 1);
            let (mut sum, mut weights) = (0.0, 0.0);
            for (j, sample) in samples.iter().enumerate().take(last + 1).skip(first) {
                let at = (j as f64 - center).abs() / stretch * STEPS as f64;
                let (step, rest) = (at as usize, at.fract() as f32);
                let weight = kernel[step] + rest * (kernel[step + 1] - kernel[step]);
                sum += weight * sample;
                weights += weight;
            }
            if weights > 0.0 { sum / weights } else { 0.0 }
        })
        .collect()
}

/// Half of a sinc under a Hann window, and two zeros.
fn kernel() -> Vec<f32> {
    let end = (CROSSINGS * STEPS) as f64;
    let mut kernel = vec![1.0];
    kernel.extend((1..CROSSINGS * STEPS).map(|i| {
        let x = PI * i as f64 / STEPS as f64;
        (x.sin() / x * (0.5 + 0.5 * (PI * i as f64 / end).cos())) as f32
    }));
    kernel.extend([0.0; 2]);
    kernel
}
