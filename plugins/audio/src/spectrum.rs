//! Short-time Fourier transform: frames of 256 samples with a Hann window, spread evenly over a sound.

use std::f64::consts::PI;
use std::sync::Arc;

use anyflow_sdk::Error;
use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

/// Samples in a frame.
pub(crate) const FRAME: usize = 256;
/// Frequencies of a frame.
pub(crate) const BINS: usize = FRAME / 2 + 1;

/// The transform and its inverse. A sine of amplitude 1 has magnitude 1 in its bin.
pub(crate) struct Spectrum {
    window: Vec<f32>,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
}

impl Spectrum {
    pub(crate) fn new() -> Self {
        let mut planner = RealFftPlanner::new();
        Spectrum {
            window: (0..FRAME).map(|i| (0.5 - 0.5 * (2.0 * PI * i as f64 / FRAME as f64).cos()) as f32).collect(),
            forward: planner.plan_fft_forward(FRAME),
            inverse: planner.plan_fft_inverse(FRAME),
        }
    }

    /// Half the sum of the window: the unscaled magnitude of a sine of amplitude 1.
    const SCALE: f32 = FRAME as f32 / 4.0;

    /// Writes the spectra `[frame, bin]` of `sound`, which must be at least one frame long.
    pub(crate) fn analyze(&self, sound: &[f32], spectra: &mut [Complex32]) -> Result<(), Error> {
        let frames = spectra.len() / BINS;
        let mut frame = self.forward.make_input_vec();
        let mut scratch = self.forward.make_scratch_vec();
        for (spectrum, start) in spectra.chunks_exact_mut(BINS).zip(starts(sound.len(), frames)) {
            for (out, (sample, weight)) in frame.iter_mut().zip(sound[start..].iter().zip(&self.window)) {
                *out = sample * weight / Self::SCALE;
            }
            self.forward.process_with_scratch(&mut frame, spectrum, &mut scratch).map_err(failed)?;
        }
        Ok(())
    }

    /// Writes the sound with the spectra nearest to `spectra: [frame, bin]`.
    pub(crate) fn synthesize(&self, spectra: &[Complex32], sound: &mut [f32]) -> Result<(), Error> {
        let frames = spectra.len() / BINS;
        let mut bins = self.inverse.make_input_vec();
        let mut frame = self.inverse.make_output_vec();
        let mut scratch = self.inverse.make_scratch_vec();
        let mut weights = vec![0.0; sound.len()];
        sound.fill(0.0);
        for (spectrum, start) in spectra.chunks_exact(BINS).zip(starts(sound.len(), frames)) {
            bins.copy_from_slice(spectrum);
            // A real frame has no phase at the ends of its spectrum.
            bins[0].im = 0.0;
            bins[BINS - 1].im = 0.0;
            self.inverse.process_with_scratch(&mut bins, &mut frame, &mut scratch).map_err(failed)?;
            let sums = sound[start..start + FRAME].iter_mut().zip(&mut weights[start..start + FRAME]);
            for ((sample, weight), (value, window)) in sums.zip(frame.iter().zip(&self.window)) {
                *sample += value * window * Self::SCALE / FRAME as f32;
                *weight += window * window;
            }
        }
        for (sample, weight) in sound.iter_mut().zip(weights) {
            // Windows hardly reach both ends: there the sound fades instead of growing without bound.
            *sample /= weight.max(0.1);
        }
        Ok(())
    }
}

/// Start indices of `frames` frames, spread from the start to the end of `length` samples.
pub(crate) fn starts(length: usize, frames: usize) -> impl Iterator<Item = usize> {
    let hop = (length - FRAME) as f64 / (frames - 1) as f64;
    (0..frames).map(move |frame| (frame as f64 * hop).round() as usize)
}

fn failed(error: realfft::FftError) -> Error {
    Error::Failed(format!("Fourier transform: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sounds::syllable;

    #[test]
    fn a_sine_of_full_scale_has_magnitude_one() {
        let sound: Vec<_> = (0..FRAME).map(|i| (2.0 * PI * i as f64 / 16.0).sin() as f32).collect();
        let mut spectra = vec![Complex32::ZERO; 2 * BINS];
        Spectrum::new().analyze(&sound, &mut spectra).unwrap();
        assert!((spectra[FRAME / 16].norm() - 1.0).abs() < 1e-5);
    }

    #[test]
    fn a_sound_is_reconstructed_from_its_spectra() {
        let sound = syllable(8_000, 0.45);
        let spectrum = Spectrum::new();
        let mut spectra = vec![Complex32::ZERO; 32 * BINS];
        spectrum.analyze(&sound, &mut spectra).unwrap();
        let mut back = vec![0.0; sound.len()];
        spectrum.synthesize(&spectra, &mut back).unwrap();
        // Except at the ends, which fade.
        for i in 64..sound.len() - 64 {
            assert!((sound[i] - back[i]).abs() < 1e-5, "sample {i}: {} is {}", sound[i], back[i]);
        }
    }

    #[test]
    fn frames_reach_from_end_to_end() {
        for (length, frames) in [(256, 2), (512, 32), (3_600, 32), (18_240, 32), (257, 1_024)] {
            let starts: Vec<_> = starts(length, frames).collect();
            assert_eq!((starts.len(), starts[0], starts[frames - 1]), (frames, 0, length - FRAME));
        }
    }
}
