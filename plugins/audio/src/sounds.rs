//! Sounds for the tests.

use std::f64::consts::PI;
use std::io::Cursor;

use hound::{Sample, SampleFormat, WavSpec, WavWriter};

/// A WAV file of integer samples, channels interleaved.
pub(crate) fn wav(channels: u16, rate: u32, bits: u16, samples: &[i32]) -> Vec<u8> {
    file(WavSpec { channels, sample_rate: rate, bits_per_sample: bits, sample_format: SampleFormat::Int }, samples)
}

/// A WAV file of float samples.
pub(crate) fn float_wav(rate: u32, samples: &[f32]) -> Vec<u8> {
    file(WavSpec { channels: 1, sample_rate: rate, bits_per_sample: 32, sample_format: SampleFormat::Float }, samples)
}

fn file<S: Sample + Copy>(spec: WavSpec, samples: &[S]) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut file, spec).unwrap();
    samples.iter().for_each(|sample| writer.write_sample(*sample).unwrap());
    writer.finalize().unwrap();
    file.into_inner()
}

/// A sound like a syllable: a hiss, then a voice with falling pitch and gliding formants.
pub(crate) fn syllable(rate: u32, seconds: f64) -> Vec<f32> {
    let n = (f64::from(rate) * seconds) as usize;
    let mut state = 1u32;
    let mut turn = 0.0;
    (0..n)
        .map(|i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = f64::from(state) / f64::from(u32::MAX) - 0.5;
            let at = i as f64 / n as f64;
            let pitch = 140.0 - 40.0 * at;
            turn += 2.0 * PI * pitch / f64::from(rate);
            let formant = |hz: f64, center: f64| (-((hz - center) / 150.0).powi(2)).exp();
            let voice: f64 = (1..25)
                .map(|k| {
                    let hz = pitch * f64::from(k);
                    (formant(hz, 700.0 - 400.0 * at) + formant(hz, 1_100.0 + 1_000.0 * at))
                        * (turn * f64::from(k)).sin()
                })
                .sum();
            let hiss = if at < 0.2 { 0.2 } else { 0.0 };
            let swell = (PI * ((at - 0.15) / 0.8).clamp(0.0, 1.0)).sin();
            (0.2 * (hiss * noise + 0.3 * swell * voice) + 0.001 * noise) as f32
        })
        .collect()
}
