//! Formant synthesis of a spoken digit: a buzz and a hiss, shaped by two moving resonances.
//!
//! The sequences approximate the English words with two formants below 4 kHz.

use crate::draw::Draws;

/// Samples a second.
pub(super) const RATE: u32 = 8000;

/// The lowest pitch has this many harmonics below 3600 Hz.
const HARMONICS: u32 = 55;

/// The state of the voice at one moment.
#[derive(Clone, Copy)]
struct Sound {
    /// Share of the duration until the next state.
    time: f64,
    /// Loudness of the buzz.
    voice: f64,
    /// Loudness of the hiss.
    hiss: f64,
    /// Frequencies of the two resonances, in Hz.
    formants: [f64; 2],
}

const fn sound(time: f64, voice: f64, hiss: f64, first: f64, second: f64) -> Sound {
    Sound { time, voice, hiss, formants: [first, second] }
}

const SEQUENCES: [&[Sound]; 10] = [
    // z, ee, r, oh
    &[
        sound(1.0, 0.2, 0.4, 300.0, 2000.0),
        sound(1.0, 1.0, 0.0, 350.0, 2200.0),
        sound(1.5, 0.8, 0.0, 450.0, 1300.0),
        sound(1.0, 1.0, 0.0, 500.0, 850.0),
    ],
    // w, uh, n
    &[sound(1.0, 0.7, 0.0, 300.0, 650.0), sound(1.5, 1.0, 0.0, 680.0, 1200.0), sound(1.2, 0.5, 0.0, 260.0, 1500.0)],
    // t, oo
    &[sound(0.4, 0.0, 1.0, 400.0, 2500.0), sound(2.0, 1.0, 0.0, 330.0, 1400.0), sound(1.0, 0.9, 0.0, 310.0, 850.0)],
    // th, r, ee
    &[sound(0.8, 0.0, 0.3, 400.0, 1400.0), sound(0.8, 0.7, 0.0, 430.0, 1200.0), sound(2.0, 1.0, 0.0, 290.0, 2300.0)],
    // f, aw, r
    &[sound(1.0, 0.0, 0.35, 500.0, 1100.0), sound(2.0, 1.0, 0.0, 520.0, 850.0), sound(1.0, 0.8, 0.0, 470.0, 1300.0)],
    // f, ah, ee, v
    &[
        sound(0.9, 0.0, 0.35, 500.0, 1100.0),
        sound(1.4, 1.0, 0.0, 760.0, 1250.0),
        sound(1.2, 0.9, 0.0, 360.0, 2050.0),
        sound(0.8, 0.3, 0.15, 300.0, 1100.0),
    ],
    // s, i, k, s
    &[
        sound(1.2, 0.0, 0.8, 600.0, 3400.0),
        sound(0.9, 1.0, 0.0, 400.0, 1950.0),
        sound(0.5, 0.0, 0.05, 400.0, 1900.0),
        sound(1.2, 0.0, 0.8, 600.0, 3400.0),
    ],
    // s, e, v, n
    &[
        sound(1.0, 0.0, 0.8, 600.0, 3400.0),
        sound(1.1, 1.0, 0.0, 560.0, 1800.0),
        sound(0.7, 0.4, 0.1, 300.0, 1200.0),
        sound(1.1, 0.6, 0.0, 350.0, 1450.0),
    ],
    // ei, t
    &[
        sound(1.2, 1.0, 0.0, 480.0, 1900.0),
        sound(1.2, 0.9, 0.0, 340.0, 2250.0),
        sound(0.7, 0.0, 0.0, 340.0, 2200.0),
        sound(0.4, 0.0, 0.7, 400.0, 2700.0),
    ],
    // n, ah, ee, n
    &[
        sound(0.9, 0.5, 0.0, 260.0, 1500.0),
        sound(1.3, 1.0, 0.0, 740.0, 1200.0),
        sound(1.2, 0.9, 0.0, 360.0, 2050.0),
        sound(0.9, 0.5, 0.0, 260.0, 1500.0),
    ],
];

/// A speaker and a manner of speaking.
struct Voice {
    seconds: f64,
    /// Pitch in Hz at the start, and the share of it at the end.
    pitch: f64,
    fall: f64,
    /// Factor on all resonances: the length of the throat.
    throat: f64,
    /// Loudness of the source's harmonics, from the first.
    harmonics: Vec<f64>,
    loudness: f64,
    noise: f64,
}

impl Voice {
    fn draw(draws: &mut Draws) -> Voice {
        let tilt = draws.between(0.08, 0.22);
        Voice {
            seconds: draws.between(0.32, 0.48),
            pitch: draws.between(95.0, 230.0),
            fall: draws.between(0.7, 1.05),
            throat: draws.between(0.9, 1.15),
            harmonics: (1..=HARMONICS).map(|k| f64::from(k).powf(-tilt)).collect(),
            loudness: draws.between(0.4, 0.9),
            noise: draws.between(0.001, 0.01),
        }
    }
}

/// The samples of a digit.
pub(super) fn speak(digit: usize, draws: &mut Draws) -> Vec<i16> {
    let voice = Voice::draw(draws);
    // Speakers hold different sounds for different times.
    let sequence: Vec<Sound> =
        SEQUENCES[digit].iter().map(|s| Sound { time: s.time * draws.between(0.8, 1.25), ..*s }).collect();
    let count = (voice.seconds * f64::from(RATE)) as usize;
    let mut phase = 0.0;
    let mut low = 0.0;
    let mut hiss = Resonance::default();
    let samples = (0..count).map(|n| {
        let share = n as f64 / count as f64;
        let now = at(&sequence, share);
        let pitch = voice.pitch * voice.fall.powf(share);
        phase = (phase + pitch / f64::from(RATE)).fract();
        let white = draws.between(-1.0, 1.0);
        let noise = draws.between(-1.0, 1.0);
        let coloured = hiss.filter(white, now.formants[1] * voice.throat);
        // Light smoothing removes harshness from the sum of harmonics.
        low += 0.8 * (now.voice * buzz(phase, pitch, now.formants, &voice) - low);
        let edge = (12.0 * share).min(8.0 * (1.0 - share)).clamp(0.0, 1.0);
        let value = edge * (low + now.hiss * coloured) + voice.noise * noise;
        (value * voice.loudness).tanh()
    });
    samples.map(|value| (value * 28_000.0).round() as i16).collect()
}

/// Interpolates between two sounds. Each is held for the middle half of its time.
fn at(sequence: &[Sound], share: f64) -> Sound {
    let total: f64 = sequence.iter().map(|sound| sound.time).sum();
    let mut left = share * total;
    for (sound, next) in sequence.iter().zip(sequence.iter().skip(1)) {
        if left < sound.time {
            let glide = ((left / sound.time - 0.5) * 2.0).clamp(0.0, 1.0);
            let mix = |a: f64, b: f64| a + glide * (b - a);
            return Sound {
                time: sound.time,
                voice: mix(sound.voice, next.voice),
                hiss: mix(sound.hiss, next.hiss),
                formants: [mix(sound.formants[0], next.formants[0]), mix(sound.formants[1], next.formants[1])],
            };
        }
        left -= sound.time;
    }
    sequence[sequence.len() - 1]
}

/// The sum of the pitch's harmonics, weighted by the resonances.
fn buzz(phase: f64, pitch: f64, formants: [f64; 2], voice: &Voice) -> f64 {
    let (sine, cosine) = (phase * std::f64::consts::TAU).sin_cos();
    let mut value = 0.0;
    let mut before = 0.0;
    let mut harmonic = sine;
    let mut frequency = pitch;
    for loudness in voice.harmonics.iter().take((3600.0 / pitch) as usize) {
        let through: f64 = formants
            .iter()
            .zip([1.0, 0.6])
            .map(|(formant, gain)| {
                let far = (frequency - formant * voice.throat) / 110.0;
                gain / (1.0 + far * far)
            })
            .sum();
        value += harmonic * (through + 0.02) * loudness;
        // sin((k + 1) x) = 2 cos(x) sin(k x) - sin((k - 1) x)
        (before, harmonic) = (harmonic, 2.0 * cosine * harmonic - before);
        frequency += pitch;
    }
    value
}

/// A two-pole filter that passes one frequency.
#[derive(Default)]
struct Resonance {
    last: [f64; 2],
}

impl Resonance {
    fn filter(&mut self, value: f64, frequency: f64) -> f64 {
        const RADIUS: f64 = 0.86;
        let angle = std::f64::consts::TAU * frequency.min(3700.0) / f64::from(RATE);
        let out =
            (1.0 - RADIUS) * 1.6 * value + 2.0 * RADIUS * angle.cos() * self.last[0] - RADIUS * RADIUS * self.last[1];
        self.last = [out, self.last[0]];
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digit_is_audible_and_none_is_clipped() {
        for (digit, index) in (0..10).flat_map(|digit| (0..10).map(move |index| (digit, index))) {
            let samples = speak(digit, &mut Draws::new("test", 0, "speech", index));
            assert!((2500..3900).contains(&samples.len()));
            let peak = samples.iter().map(|s| s.unsigned_abs()).max().unwrap();
            assert!((3000..28_001).contains(&peak), "digit {digit}, {index}: peak {peak}");
        }
    }

    #[test]
    fn a_resonance_passes_its_frequency() {
        let loudness = |frequency: f64| {
            let mut filter = Resonance::default();
            let value = |n: usize| (n as f64 / 8000.0 * frequency * std::f64::consts::TAU).sin();
            (0..800).map(|n| filter.filter(value(n), 2000.0).abs()).sum::<f64>()
        };
        assert!(loudness(2000.0) > 4.0 * loudness(500.0) && loudness(2000.0) > 4.0 * loudness(3500.0));
    }
}
