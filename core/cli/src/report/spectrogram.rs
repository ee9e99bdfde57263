//! A spectrogram of a sound: time to the right, mel frequency upwards, loudness as brightness.

use std::io::Cursor;

use realfft::RealFftPlanner;

/// Longest part of the sound that is drawn.
const LONGEST_SECS: usize = 30;
const ROWS: usize = 80;
const MOST_FRAMES: usize = 320;
/// Dynamic range: quieter points are black.
const RANGE_DB: f32 = 65.0;

/// From black over violet and orange to pale yellow in steps of equal brightness.
const COLOURS: [[f32; 3]; 8] = [
    [4.0, 4.0, 14.0],
    [32.0, 17.0, 76.0],
    [87.0, 21.0, 126.0],
    [140.0, 41.0, 129.0],
    [196.0, 62.0, 112.0],
    [240.0, 105.0, 92.0],
    [254.0, 173.0, 119.0],
    [252.0, 240.0, 184.0],
];

/// A PNG of the spectrogram of a WAV file; `None` for other formats and empty sounds.
pub(super) fn png_from_wav(bytes: &[u8]) -> Option<Vec<u8>> {
    let (samples, rate) = mono_from_wav(bytes)?;
    let frames = power_frames(&samples, rate)?;
    png_from_levels(&levels(&frames, rate))
}

fn mono_from_wav(bytes: &[u8]) -> Option<(Vec<f32>, u32)> {
    let mut reader = hound::WavReader::new(Cursor::new(bytes)).ok()?;
    let spec = reader.spec();
    let most = spec.sample_rate as usize * LONGEST_SECS * spec.channels as usize;
    let samples: Vec<f32> = match spec.sample_format {
        hound::SampleFormat::Float => reader.samples::<f32>().take(most).map_while(Result::ok).collect(),
        hound::SampleFormat::Int => {
            let scale = 1.0 / (1_i64 << spec.bits_per_sample.clamp(1, 32).saturating_sub(1)) as f32;
            reader.samples::<i32>().take(most).map_while(Result::ok).map(|sample| sample as f32 * scale).collect()
        }
    };
    let channels = spec.channels.max(1) as usize;
    let mono = samples.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32).collect();
    Some((mono, spec.sample_rate))
}

/// Power per frame and frequency bin, for overlapping windows of about 32 ms.
fn power_frames(samples: &[f32], rate: u32) -> Option<Vec<Vec<f32>>> {
    if samples.is_empty() || rate == 0 {
        return None;
    }
    let window = (rate as usize * 32 / 1000).next_power_of_two().clamp(64, 4096);
    let hop = (window / 4).max(samples.len().div_ceil(MOST_FRAMES));
    let fft = RealFftPlanner::<f32>::new().plan_fft_forward(window);
    let mut input = fft.make_input_vec();
    let mut output = fft.make_output_vec();
    let hann = |i: usize| 0.5 - 0.5 * (std::f32::consts::TAU * i as f32 / window as f32).cos();
    let mut frames = Vec::new();
    for start in (0..=samples.len().saturating_sub(window)).step_by(hop) {
        for (i, value) in input.iter_mut().enumerate() {
            *value = hann(i) * samples.get(start + i).copied().unwrap_or(0.0);
        }
        fft.process(&mut input, &mut output).ok()?;
        frames.push(output.iter().map(realfft::num_complex::Complex::norm_sqr).collect());
    }
    Some(frames)
}

/// Brightness from 0 to 255, one row per mel band, highest first.
fn levels(frames: &[Vec<f32>], rate: u32) -> Vec<Vec<u8>> {
    let bins = frames.first().map_or(1, Vec::len);
    let nyquist = rate as f32 / 2.0;
    let mel = |hz: f32| (1.0 + hz / 700.0).log10();
    let bin = |row: usize| {
        let hz = 700.0 * (10_f32.powf(mel(nyquist) * row as f32 / ROWS as f32) - 1.0);
        ((hz / nyquist * (bins - 1) as f32) as usize).min(bins - 1)
    };
    let power = |frame: &Vec<f32>, row: usize| {
        let low = bin(row);
        let high = bin(row + 1).max(bin(row) + 1);
        10.0 * frame[low..high].iter().copied().fold(0.0, f32::max).max(1e-12).log10()
    };
    let rows: Vec<Vec<f32>> =
        (0..ROWS).rev().map(|row| frames.iter().map(|frame| power(frame, row)).collect()).collect();
    // Silence stays dark: it is not normalized to full brightness.
    let loudest = rows.iter().flatten().copied().fold(-40.0, f32::max);
    let level = |db: &f32| ((db - loudest + RANGE_DB) / RANGE_DB * 255.0).clamp(0.0, 255.0) as u8;
    rows.iter().map(|row| row.iter().map(level).collect()).collect()
}

fn png_from_levels(levels: &[Vec<u8>]) -> Option<Vec<u8>> {
    let width = levels.first()?.len();
    let height = levels.len();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, u32::try_from(width).ok()?, u32::try_from(height).ok()?);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette((0..=255).flat_map(colour).collect::<Vec<u8>>());
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(&levels.concat()).ok()?;
    writer.finish().ok()?;
    Some(bytes)
}

fn colour(level: u8) -> [u8; 3] {
    let position = f32::from(level) / 255.0 * (COLOURS.len() - 1) as f32;
    let low = (position as usize).min(COLOURS.len() - 2);
    let part = position - low as f32;
    std::array::from_fn(|i| (COLOURS[low][i] * (1.0 - part) + COLOURS[low + 1][i] * part) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_a_bright_line_at_its_pitch() {
        let rate = 8000;
        let tone: Vec<f32> =
            (0..rate).map(|i| (std::f32::consts::TAU * 1000.0 * i as f32 / rate as f32).sin()).collect();
        let levels = levels(&power_frames(&tone, rate as u32).unwrap(), rate as u32);
        let middle = levels[0].len() / 2;
        let brightest = (0..ROWS).max_by_key(|row| levels[*row][middle]).unwrap();
        let mel = |hz: f32| (1.0 + hz / 700.0).log10();
        let expected = ROWS as f32 * (1.0 - mel(1000.0) / mel(4000.0));
        assert!((brightest as f32 - expected).abs() < 3.0, "row {brightest}, expected {expected}");
        assert!(levels[2][middle] < 40 && levels[ROWS - 2][middle] < 40);
    }

    #[test]
    fn silence_is_dark_and_invalid_wav_gives_none() {
        let levels = levels(&power_frames(&[0.0; 2000], 8000).unwrap(), 8000);
        assert!(levels.iter().flatten().all(|level| *level == 0));
        assert!(png_from_wav(b"RIFF....WAVE").is_none());
        assert!(power_frames(&[], 8000).is_none());
    }
}
