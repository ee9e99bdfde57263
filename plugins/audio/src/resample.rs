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
            let mut sum = 0.0;
            for (sample, j) in samples[first..=last].iter().zip(first..) {
                let at = (j as f64 - center).abs() / stretch * STEPS as f64;
                let (step, rest) = (at as usize, at.fract() as f32);
                sum += (kernel[step] + rest * (kernel[step + 1] - kernel[step])) * sample;
            }
            sum / stretch as f32
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A sine that swells and fades, so that the ends do not matter.
    fn tone(hz: f64, rate: u32) -> Vec<f32> {
        let n = f64::from(rate) / 4.0;
        let sample = |i: f64| (2.0 * PI * hz * i / f64::from(rate)).sin() * (PI * i / n).sin().powi(2);
        (0..n as usize).map(|i| sample(i as f64) as f32).collect()
    }

    fn worst(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_tone_keeps_its_pitch_and_its_phase() {
        for (rate, new_rate) in [(44_100, 8_000), (48_000, 8_000), (11_025, 8_000), (8_000, 16_000), (8_000, 44_100)] {
            let got = resampled(&tone(1_000.0, rate), rate, new_rate);
            let wanted = tone(1_000.0, new_rate);
            assert!(got.len().abs_diff(wanted.len()) <= 1);
            assert!(worst(&got, &wanted) < 2e-3, "{rate} to {new_rate}: {}", worst(&got, &wanted));
        }
    }

    #[test]
    fn what_the_new_rate_cannot_hold_is_gone() {
        let got = resampled(&tone(6_000.0, 44_100), 44_100, 8_000);
        assert!(worst(&got, &vec![0.0; got.len()]) < 1e-3);
    }

    #[test]
    fn one_sample_is_enough() {
        assert_eq!(resampled(&[0.5], 48_000, 8_000).len(), 1);
        assert_eq!(resampled(&[0.5], 8_000, 48_000).len(), 6);
    }
}
