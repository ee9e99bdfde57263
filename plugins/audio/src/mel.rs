//! Mel bands: power per frequency bin <-> power per band.

use crate::spectrum::{BINS, FRAME};

/// Lower end of the first band, in Hz.
const LOWEST_HZ: f64 = 50.0;

/// Triangular bands, evenly spaced on the mel scale from 50 Hz to the Nyquist frequency.
pub(crate) struct Mel {
    bands: Vec<Band>,
    /// The sum of the weights of each bin over all bands.
    reach: [f32; BINS],
}

struct Band {
    first: usize,
    weights: Vec<f32>,
}

impl Mel {
    pub(crate) fn new(bands: usize, rate: u32) -> Self {
        let low = mel_from_hz(LOWEST_HZ);
        let high = mel_from_hz(f64::from(rate) / 2.0);
        let edge = |i: usize| hz_from_mel(low + (high - low) * i as f64 / (bands + 1) as f64);
        let bands: Vec<_> = (0..bands).map(|i| Band::new([edge(i), edge(i + 1), edge(i + 2)], rate)).collect();
        let mut reach = [0.0; BINS];
        for band in &bands {
            band.bins(&mut reach).for_each(|(reach, weight)| *reach += weight);
        }
        Mel { bands, reach }
    }

    /// Power of each band.
    pub(crate) fn bands_from_bins<'a>(&'a self, power: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        self.bands.iter().map(|band| band.sum(power))
    }

    /// Writes a non-negative power per bin that nearly gives the power of the bands: the Richardson-Lucy iteration,
    /// which finds the most likely answer under relative errors and stays smooth in wide bands.
    pub(crate) fn bins_from_bands(&self, wanted: &[f32], power: &mut [f32]) {
        power.fill(1.0);
        for _ in 0..30 {
            let mut factor = [0.0; BINS];
            for (band, wanted) in self.bands.iter().zip(wanted) {
                let ratio = wanted / band.sum(power).max(1e-20);
                band.bins(&mut factor).for_each(|(factor, weight)| *factor += weight * ratio);
            }
            for ((power, factor), reach) in power.iter_mut().zip(factor).zip(self.reach) {
                *power *= factor / reach.max(1e-6);
            }
        }
    }
}

impl Band {
    /// The triangle over `[low, peak, high]` Hz, averaged over the width of each bin so that no band is empty.
    fn new([low, peak, high]: [f64; 3], rate: u32) -> Self {
        let triangle = |hz: f64| ((hz - low) / (peak - low)).min((high - hz) / (high - peak)).max(0.0);
        let width = f64::from(rate) / FRAME as f64;
        let mean =
            |bin: usize| (0..8).map(|i| triangle((bin as f64 + (i as f64 - 3.5) / 8.0) * width)).sum::<f64>() / 8.0;
        let weights: Vec<_> = (0..BINS).map(|bin| mean(bin) as f32).collect();
        let first = weights.iter().position(|weight| *weight > 0.0).unwrap_or(0);
        let last = weights.iter().rposition(|weight| *weight > 0.0).unwrap_or(0);
        Band { first, weights: weights[first..=last].to_vec() }
    }

    fn sum(&self, power: &[f32]) -> f32 {
        self.weights.iter().zip(&power[self.first..]).map(|(weight, power)| weight * power).sum()
    }

    fn bins<'a>(&'a self, bins: &'a mut [f32]) -> impl Iterator<Item = (&'a mut f32, f32)> {
        bins[self.first..].iter_mut().zip(self.weights.iter().copied())
    }
}

fn mel_from_hz(hz: f64) -> f64 {
    2595.0 * (1.0 + hz / 700.0).log10()
}

fn hz_from_mel(mel: f64) -> f64 {
    700.0 * (10f64.powf(mel / 2595.0) - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_band_is_empty_or_reaches_below_50_hz() {
        for (bands, rate) in [(40, 8_000), (4, 4_000), (128, 4_000), (128, 48_000)] {
            let mel = Mel::new(bands, rate);
            assert!(mel.bands_from_bins(&[1.0; BINS]).all(|power| power > 0.0), "{bands} bands at {rate} Hz");
        }
        assert_eq!(Mel::new(40, 8_000).reach[..2], [0.0; 2]);
    }

    #[test]
    fn estimated_bins_reproduce_the_bands() {
        let mel = Mel::new(40, 8_000);
        // Formants above a floor that is 60 dB lower.
        let spectrum: Vec<_> = (0..BINS)
            .map(|bin| {
                let hz = bin as f32 * 31.25;
                1e-6 + (-((hz - 600.0) / 150.0).powi(2)).exp() + 0.1 * (-((hz - 2_400.0) / 300.0).powi(2)).exp()
            })
            .collect();
        let wanted: Vec<_> = mel.bands_from_bins(&spectrum).collect();
        let mut power = vec![0.0; BINS];
        mel.bins_from_bands(&wanted, &mut power);
        assert!(power.iter().all(|power| *power >= 0.0));
        for (band, (got, wanted)) in mel.bands_from_bins(&power).zip(&wanted).enumerate() {
            assert!((got / wanted).log10().abs() < 0.1, "band {band}: {got} for {wanted}");
        }
    }

    #[test]
    fn silence_stays_silence() {
        let mut power = vec![1.0; BINS];
        Mel::new(40, 8_000).bins_from_bands(&[0.0; 40], &mut power);
        assert_eq!(power, [0.0; BINS]);
    }
}
