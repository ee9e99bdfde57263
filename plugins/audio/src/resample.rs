//! Changes the sample rate with rubato's FFT resampler.

use std::fmt::Display;

use anyflow_sdk::Error;
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler};

/// The largest sample of a float file: far above full scale, far below the overflow of sums.
pub(crate) const MAX_SAMPLE: f32 = 1e6;
/// The fewest samples in a block at the lower rate. At 256 the transition is a tenth of the band wide.
const BLOCK: usize = 256;

/// Resamples `samples` from `rate` to `new_rate`, without the frequencies that the lower rate cannot hold.
pub(crate) fn resampled(samples: &[f32], rate: u32, new_rate: u32) -> Result<Vec<f32>, Error> {
    if samples.is_empty() {
        return Ok(Vec::new());
    }
    let failed = |error: &dyn Display| Error::Failed(format!("{rate} Hz to {new_rate} Hz: {error}"));
    // The FFT panics for values that are not finite, also for sums that overflow.
    if !samples.iter().all(|sample| sample.abs() <= MAX_SAMPLE) {
        return Err(failed(&"a sample is huge, infinite or NaN"));
    }
    let rate = rate as usize;
    let new_rate = new_rate as usize;
    let mut fft = Fft::new(rate, new_rate, block(rate, new_rate), 1, FixedSync::Both).map_err(|e| failed(&e))?;
    let sound = InterleavedSlice::new(samples, 1, samples.len()).map_err(|e| failed(&e))?;
    let mut sound = fft.process_all(&sound, samples.len(), None).map_err(|e| failed(&e))?.take_data();
    // rubato rounds the length up.
    sound.truncate(((samples.len() as f64 * new_rate as f64 / rate as f64).round() as usize).max(1));
    Ok(sound)
}

/// The samples of one FFT. The delay is half of them. It is a whole number of samples, so that rubato removes all of
/// it, only if this count is even at both rates.
fn block(rate: usize, new_rate: usize) -> usize {
    let common = gcd(rate, new_rate).max(1);
    let lower = (rate.min(new_rate) / common).max(1);
    BLOCK.div_ceil(2 * lower) * 2 * (rate / common)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use proptest::prelude::*;

    use super::*;

    /// A sine that fades in and out, so that the ends do not matter.
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
        for (rate, new_rate) in
            [(44_100, 8_000), (48_000, 8_000), (11_025, 8_000), (8_000, 16_000), (8_000, 44_100), (44_101, 8_000)]
        {
            for hz in [1_000.0, 3_500.0] {
                let got = resampled(&tone(hz, rate), rate, new_rate).unwrap();
                let wanted = tone(hz, new_rate);
                assert!(got.len().abs_diff(wanted.len()) <= 1);
                assert!(worst(&got, &wanted) < 2e-5, "{hz} Hz, {rate} to {new_rate}: {}", worst(&got, &wanted));
            }
        }
    }

    #[test]
    fn frequencies_above_the_new_rate_are_removed() {
        for (rate, hz) in [(44_100, 4_100.0), (44_100, 6_000.0), (48_000, 6_000.0), (44_101, 6_000.0)] {
            let got = resampled(&tone(hz, rate), rate, 8_000).unwrap();
            assert!(worst(&got, &vec![0.0; got.len()]) < 2e-5, "{hz} Hz at {rate}");
        }
    }

    #[test]
    fn one_sample_is_enough() {
        assert_eq!(resampled(&[0.5], 48_000, 8_000).unwrap().len(), 1);
        assert_eq!(resampled(&[0.5], 8_000, 48_000).unwrap().len(), 6);
        assert!(resampled(&[], 8_000, 48_000).unwrap().is_empty());
    }

    #[test]
    fn huge_samples_and_zero_rates_are_refused() {
        for sample in [f32::NAN, f32::INFINITY, f32::MIN] {
            assert!(resampled(&[0.0, sample], 48_000, 8_000).is_err());
        }
        for (rate, new_rate) in [(0, 8_000), (8_000, 0), (0, 0)] {
            assert!(resampled(&[0.5], rate, new_rate).is_err());
        }
    }

    proptest! {
        // Rates without a common divisor need a long FFT: up to 0.1 s per case.
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_rate_and_length_work(
            sound in prop::collection::vec(-MAX_SAMPLE..=MAX_SAMPLE, 1..3_000),
            rate in 1_000u32..=192_000,
            new_rate in 4_000u32..=48_000,
        ) {
            let wanted = (sound.len() as u64 * u64::from(new_rate) + u64::from(rate) / 2) / u64::from(rate);
            let got = resampled(&sound, rate, new_rate).unwrap();
            prop_assert_eq!(got.len() as u64, wanted.max(1));
            prop_assert!(got.iter().all(|sample| sample.abs() < 10.0 * MAX_SAMPLE));
        }
    }
}
