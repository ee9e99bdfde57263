//! WAV files <-> mono samples.

use std::io::Cursor;

use anyflow_sdk::Error;
use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

use crate::resample::resampled;

/// The longest recording, so that a file cannot ask for all memory.
const MAX_SECONDS: f64 = 60.0;
/// The largest sample of a float file: far above full scale, far below the overflow of sums.
pub(crate) const MAX_SAMPLE: f32 = 1e6;

/// Reads a WAV file of 8 to 32 bits, integer or float: channels averaged, resampled to `rate`, full scale at 1.
pub(crate) fn read(bytes: &[u8], rate: u32) -> Result<Vec<f32>, Error> {
    let mut reader = WavReader::new(Cursor::new(bytes)).map_err(refused)?;
    let WavSpec { channels, sample_rate, bits_per_sample, sample_format } = reader.spec();
    if !(1..=64).contains(&channels) || !(1_000..=192_000).contains(&sample_rate) || bits_per_sample > 32 {
        return Err(Error::data(format!(
            "not a recording: {channels} channels, {sample_rate} Hz, {bits_per_sample} bits per sample"
        )));
    }
    let seconds = f64::from(reader.duration()) / f64::from(sample_rate);
    if seconds > MAX_SECONDS {
        return Err(Error::data(format!("the recording lasts {seconds:.1} s; at most {MAX_SECONDS} s are allowed")));
    }
    let samples = match sample_format {
        SampleFormat::Float => mixed(reader.samples::<f32>().map(|s| s.map(f64::from)), channels)?,
        SampleFormat::Int => {
            let full_scale = f64::from(1u32 << (bits_per_sample - 1));
            mixed(reader.samples::<i32>().map(|s| s.map(|s| f64::from(s) / full_scale)), channels)?
        }
    };
    if samples.is_empty() {
        return Err(Error::data("the recording is empty"));
    }
    if let Some(at) = samples.iter().position(|sample| !sample.is_finite() || sample.abs() > MAX_SAMPLE) {
        return Err(Error::data(format!("the recording holds {} at sample {at}", samples[at])));
    }
    if sample_rate == rate { Ok(samples) } else { resampled(&samples, sample_rate, rate) }
}

/// The mean over channels of interleaved samples.
fn mixed(samples: impl Iterator<Item = hound::Result<f64>>, channels: u16) -> Result<Vec<f32>, Error> {
    let mut mean = 0.0;
    let mut channel = 0;
    let mut mono = Vec::new();
    for sample in samples {
        mean += sample.map_err(refused)? / f64::from(channels);
        channel += 1;
        if channel == channels {
            mono.push(mean as f32);
            mean = 0.0;
            channel = 0;
        }
    }
    Ok(mono)
}

fn refused(error: hound::Error) -> Error {
    Error::data(format!("not a WAV file: {error}"))
}

/// Writes samples between -1 and 1 as a 16-bit WAV file.
pub(crate) fn write(samples: &[f32], rate: u32) -> Result<Vec<u8>, Error> {
    let spec = WavSpec { channels: 1, sample_rate: rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut file = Cursor::new(Vec::new());
    let failed = |error| Error::Failed(format!("writing WAV: {error}"));
    let mut writer = WavWriter::new(&mut file, spec).map_err(failed)?;
    for sample in samples {
        writer.write_sample((sample.clamp(-1.0, 1.0) * 32767.0).round() as i16).map_err(failed)?;
    }
    writer.finalize().map_err(failed)?;
    Ok(file.into_inner())
}

/// Scales the largest magnitude to 1; silence stays silence.
pub(crate) fn to_full_scale(samples: &mut [f32]) {
    let peak = samples.iter().fold(0f32, |peak, sample| peak.max(sample.abs()));
    if peak > 0.0 {
        samples.iter_mut().for_each(|sample| *sample /= peak);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sounds::{float_wav, wav};

    #[test]
    fn every_bit_depth_is_read_at_full_scale() {
        for bits in [8, 16, 24, 32] {
            let top = (1i64 << (bits - 1)) - 1;
            let file = wav(1, 8_000, bits, &[0, top as i32, -(top as i32), (top / 2) as i32]);
            let samples = read(&file, 8_000).unwrap();
            for (sample, wanted) in samples.iter().zip([0.0, 1.0, -1.0, 0.5]) {
                assert!((sample - wanted).abs() < 0.02, "{bits} bits: {sample} for {wanted}");
            }
        }
        assert_eq!(read(&float_wav(8_000, &[0.25, -1.5]), 8_000).unwrap(), [0.25, -1.5]);
    }

    #[test]
    fn channels_are_averaged() {
        let file = wav(3, 8_000, 16, &[3_000, 6_000, 9_000, -300, -600, -900]);
        let samples = read(&file, 8_000).unwrap();
        assert_eq!(samples.len(), 2);
        assert!((samples[0] - 6_000.0 / 32_768.0).abs() < 1e-6 && (samples[1] + 600.0 / 32_768.0).abs() < 1e-6);
    }

    #[test]
    fn written_samples_read_back() {
        let samples = [0.0, 0.5, -0.25, 1.0, -1.0, 7.0];
        let back = read(&write(&samples, 8_000).unwrap(), 8_000).unwrap();
        for (back, sample) in back.iter().zip(samples) {
            assert!((back - sample.clamp(-1.0, 1.0)).abs() < 1e-4);
        }
    }

    #[test]
    fn files_that_are_not_recordings_are_refused() {
        let sound = vec![100; 800];
        let whole = wav(1, 8_000, 16, &sound);
        let mut endless = whole.clone();
        endless[40..44].copy_from_slice(&u32::to_le_bytes(0xFFFF_FFF0));
        let minute = wav(1, 1_000, 8, &vec![0; 60_001]);
        for (name, file) in [
            ("empty file", vec![]),
            ("no samples", wav(1, 8_000, 16, &[])),
            ("cut off", whole[..whole.len() - 100].to_vec()),
            ("endless", endless),
            ("too long", minute),
            ("too slow", wav(1, 10, 16, &sound)),
            ("too fast", wav(1, 4_000_000, 16, &sound)),
            ("65 channels", wav(65, 8_000, 16, &[0; 65])),
            ("not a number", float_wav(8_000, &[0.0, f32::NAN])),
            ("infinite", float_wav(8_000, &[f32::INFINITY])),
            ("huge", float_wav(8_000, &[f32::MAX])),
        ] {
            assert!(matches!(read(&file, 8_000), Err(Error::Data(_))), "{name}");
        }
        assert_eq!(read(&wav(1, 1_000, 8, &vec![0; 60_000]), 8_000).unwrap().len(), 480_000);
    }

    proptest! {
        #[test]
        fn damaged_files_are_read_or_refused(
            changes in prop::collection::vec((0usize..60, any::<u8>()), 0..8),
            keep in 0usize..1_000,
            channels in 1u16..4,
            bits in prop::sample::select(vec![8u16, 16, 24, 32]),
        ) {
            let mut file = wav(channels, 11_025, bits, &vec![7; 60 * usize::from(channels)]);
            for (at, byte) in changes {
                file[at] = byte;
            }
            file.truncate(keep);
            match read(&file, 8_000) {
                Ok(samples) => prop_assert!(!samples.is_empty() && samples.iter().all(|sample| sample.is_finite())),
                Err(error) => prop_assert!(matches!(error, Error::Data(_))),
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(matches!(read(&bytes, 8_000), Ok(_) | Err(Error::Data(_))));
        }
    }
}
