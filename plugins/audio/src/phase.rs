//! Reconstructs a sound from the magnitudes of its spectra.

use anyflow_sdk::Error;
use realfft::num_complex::Complex32;

use crate::spectrum::{BINS, FRAME, Spectrum, starts};

const ITERATIONS: usize = 60;
const MOMENTUM: f32 = 0.99;

/// Fast Griffin-Lim (Perraudin, Balazs and Sondergaard 2013): finds a `sound` whose spectra have `magnitudes: [frame,
/// bin]`. The phases start as those of a steady tone per bin, so that the result is deterministic.
pub(crate) fn sound_from_magnitudes(spectrum: &Spectrum, magnitudes: &[f32], sound: &mut [f32]) -> Result<(), Error> {
    let mut phases = steady(sound.len(), magnitudes.len() / BINS);
    let mut rebuilt = vec![Complex32::ZERO; magnitudes.len()];
    let mut before = rebuilt.clone();
    for _ in 0..ITERATIONS {
        scale(&mut phases, magnitudes);
        spectrum.synthesize(&phases, sound)?;
        spectrum.analyze(sound, &mut rebuilt)?;
        for ((phase, new), old) in phases.iter_mut().zip(&rebuilt).zip(&before) {
            let ahead = new - old * (MOMENTUM / (1.0 + MOMENTUM));
            // Not `norm`, whose care for overflow takes most of the time here.
            *phase = ahead * (1.0 / ahead.norm_sqr().sqrt().max(1e-16));
        }
        std::mem::swap(&mut rebuilt, &mut before);
    }
    scale(&mut phases, magnitudes);
    spectrum.synthesize(&phases, sound)
}

fn scale(phases: &mut [Complex32], magnitudes: &[f32]) {
    phases.iter_mut().zip(magnitudes).for_each(|(phase, magnitude)| *phase *= magnitude);
}

/// The phases `[frame, bin]` of a steady tone in the middle of each bin.
fn steady(length: usize, frames: usize) -> Vec<Complex32> {
    let turn = |start: usize, bin: usize| (start * bin % FRAME) as f32 / FRAME as f32;
    starts(length, frames)
        .flat_map(|start| {
            (0..BINS).map(move |bin| Complex32::from_polar(1.0, std::f32::consts::TAU * turn(start, bin)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sounds::syllable;

    #[test]
    fn the_sound_has_the_magnitudes() {
        let spectrum = Spectrum::new();
        let mut spectra = vec![Complex32::ZERO; 32 * BINS];
        let mut sound = syllable(8_000, 0.45);
        spectrum.analyze(&sound, &mut spectra).unwrap();
        let magnitudes: Vec<_> = spectra.iter().map(|value| value.norm()).collect();
        sound_from_magnitudes(&spectrum, &magnitudes, &mut sound).unwrap();
        spectrum.analyze(&sound, &mut spectra).unwrap();
        let missed: f32 = spectra.iter().zip(&magnitudes).map(|(value, wanted)| (value.norm() - wanted).powi(2)).sum();
        let convergence = (missed / magnitudes.iter().map(|wanted| wanted * wanted).sum::<f32>()).sqrt();
        assert!(convergence < 0.2, "{convergence}");
    }
}
